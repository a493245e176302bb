// Records of TLS 1.3 under a client's own key (TLS_AES_128_GCM_SHA256) with any content: what OpenSSL's
// client would not send. For tests and fuzz targets.
#pragma once

#include "net/openssl.h"

#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace p2prc::forged {

class Records {
  public:
    // Learns the secret of the connection, whose context was given to follow_keys().
    void watch(SSL* ssl) { SSL_set_app_data(ssl, this); }
    void learn(std::string_view line);

    // Whether the secret is known. It never is in TLS 1.2.
    bool ready() const { return !secret_.empty(); }
    // Whether a record was made: OpenSSL's own have the wrong number from then on.
    bool active() const { return active_; }
    // How many records were sent under the key before the first that is made here.
    void count(std::uint64_t records) {
        if (!active_) number_ = records;
    }
    // RFC 8446 section 5.2.
    std::string record(std::uint8_t type, std::string_view content);
    // RFC 8446 section 7.2.
    void next_keys() {
        secret_ = expand("traffic upd", 32);
        number_ = 0;
    }

  private:
    // HKDF-Expand-Label of RFC 8446 section 7.1, with an empty context.
    std::string expand(std::string_view label, std::size_t size) const;

    std::string secret_;
    std::uint64_t number_ = 0;
    bool active_ = false;
};

inline void require_done(bool done) {
    if (!done) std::abort();
}

inline void follow_keys(SSL_CTX* context) {
    SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char* line) {
        if (auto* records = static_cast<Records*>(SSL_get_app_data(ssl))) records->learn(line);
    });
}

// "CLIENT_TRAFFIC_SECRET_0 RANDOM SECRET", as SSLKEYLOGFILE has it.
inline void Records::learn(std::string_view line) {
    if (!line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
    long size = 0;
    unsigned char* bytes = OPENSSL_hexstr2buf(std::string(line.substr(line.rfind(' ') + 1)).c_str(), &size);
    require_done(bytes != nullptr);
    secret_.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
}

inline std::string Records::expand(std::string_view label, std::size_t size) const {
    std::string info{'\0', static_cast<char>(size), static_cast<char>(6 + label.size())};
    info.append("tls13 ").append(label).push_back('\0');
    std::string key = secret_;
    std::string hash = "SHA256";
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int("mode", &mode), OSSL_PARAM_construct_utf8_string("digest", hash.data(), 0),
        OSSL_PARAM_construct_octet_string("key", key.data(), key.size()),
        OSSL_PARAM_construct_octet_string("info", info.data(), info.size()), OSSL_PARAM_construct_end()};
    EVP_KDF* kind = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(kind);
    std::string out(size, '\0');
    require_done(EVP_KDF_derive(context, reinterpret_cast<unsigned char*>(out.data()), size, parameters) ==
                 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kind);
    return out;
}

inline std::string Records::record(std::uint8_t type, std::string_view content) {
    active_ = true;
    const auto key = expand("key", 16);
    auto nonce = expand("iv", 12);
    for (std::size_t i = 0; i < 8; ++i)
        nonce[11 - i] ^= static_cast<char>(number_ >> (8 * i));
    ++number_;
    std::string inner(content);
    inner.push_back(static_cast<char>(type));
    const std::size_t size = inner.size() + 16;
    std::string out{SSL3_RT_APPLICATION_DATA, 3, 3, static_cast<char>(size >> 8U), static_cast<char>(size)};
    const auto bytes = [](std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); };
    std::string sealed(inner.size(), '\0');
    std::string tag(16, '\0');
    EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
    auto key_copy = key;
    int done = 0;
    require_done(
        EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), nullptr, bytes(key_copy), bytes(nonce)) == 1 &&
        EVP_EncryptUpdate(cipher, nullptr, &done, bytes(out), 5) == 1 &&
        EVP_EncryptUpdate(cipher, bytes(sealed), &done, bytes(inner), static_cast<int>(inner.size())) == 1 &&
        EVP_EncryptFinal_ex(cipher, bytes(tag), &done) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag.data()) == 1);
    EVP_CIPHER_CTX_free(cipher);
    return out + sealed + tag;
}

} // namespace p2prc::forged
