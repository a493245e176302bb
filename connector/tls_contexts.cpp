#include "connector/tls_contexts.h"

#include "net/openssl.h"

#include <fmt/format.h>
#include <openssl/pem.h>

#include <algorithm>

namespace p2prc::connector {
namespace {

using net::BioPtr;
using net::CertificatePtr;
using net::KeyPtr;

int domain_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                                                      [](void*, void* value, CRYPTO_EX_DATA*, int, long,
                                                         void*) { delete static_cast<std::string*>(value); });
    return index;
}

int check_name(SSL* ssl, int* alert, void*) noexcept {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const auto* domain =
        static_cast<const std::string*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), domain_index()));
    if (domain && name_matches(*domain, name ? name : "")) return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// The application gets plain bytes, so ALPN agrees only on the HTTP version that every server speaks. A
// client that offers no HTTP is not refused: it may use another protocol without announcing it.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int length, void*) noexcept {
    constexpr std::string_view http = "http/1.1";
    for (unsigned int at = 0; at < length; at += 1u + offered[at]) {
        if (at + 1u + offered[at] > length) break;
        const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
        if (name != http) continue;
        *chosen = offered + at + 1;
        *size = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

BioPtr reader(const std::string& pem) {
    return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Result<void> use_chain(SSL_CTX* context, const std::string& pem) {
    const BioPtr bio = reader(pem);
    const CertificatePtr leaf(PEM_read_bio_X509(bio.get(), nullptr, net::no_passphrase, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
        return net::openssl_fail("the certificate cannot be read");
    while (CertificatePtr next{PEM_read_bio_X509(bio.get(), nullptr, net::no_passphrase, nullptr)})
        if (SSL_CTX_add1_chain_cert(context, next.get()) != 1)
            return net::openssl_fail("the certificate's chain cannot be used");
    ERR_clear_error(); // the end of the text is an "error" too
    return {};
}

Result<void> use_key(SSL_CTX* context, const std::string& pem) {
    const BioPtr bio = reader(pem);
    const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, net::no_passphrase, nullptr));
    if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
        return net::openssl_fail("the private key cannot be read or is not the certificate's");
    return {};
}

} // namespace

bool name_matches(std::string_view domain, std::string_view name) {
    if (name.empty()) return true;
    if (name.ends_with('.')) name.remove_suffix(1);
    const auto same = [](std::string_view a, std::string_view b) {
        return std::ranges::equal(a, b, [](char x, char y) {
            return (x >= 'A' && x <= 'Z' ? x + 32 : x) == (y >= 'A' && y <= 'Z' ? y + 32 : y);
        });
    };
    if (!domain.starts_with("*.")) return same(domain, name);
    const std::size_t dot = name.find('.');
    return dot != std::string_view::npos && dot > 0 && same(domain.substr(1), name.substr(dot));
}

Result<std::shared_ptr<ssl_ctx_st>> make_tls_context(const std::string& domain, const std::string& chain_pem,
                                                     const std::string& key_pem) {
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (!context) return net::openssl_fail("no TLS context");
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                           SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_COMPRESSION);
    // Idle connections release their 34 KB of buffers; writes may be partial and retried from another buffer.
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // Resumption by tickets, whose keys live and die with this context; nothing is kept for each client.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    if (auto used = use_chain(context.get(), chain_pem); !used) return std::unexpected(used.error());
    if (auto used = use_key(context.get(), key_pem); !used) return std::unexpected(used.error());
    SSL_CTX_set_ex_data(context.get(), domain_index(), new std::string(domain));
    // The macro of the same purpose casts as C does.
    SSL_CTX_callback_ctrl(context.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(check_name));
    SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
    return context;
}

} // namespace p2prc::connector
