#include "net/key_proof.h"

#include "net/openssl.h"

namespace p2prc::net {
namespace {

using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpenSslFree<EVP_MD_CTX_free>>;

// A prefix, so that a signature that the key made for another purpose, such as a handshake, is not accepted.
Bytes signed_text(ByteView context) {
    constexpr std::string_view purpose = "p2prc key proof 1";
    Bytes text(purpose.begin(), purpose.end());
    text.push_back(0);
    text.insert(text.end(), context.begin(), context.end());
    return text;
}

} // namespace

Result<std::string> prove_key(const Identity& identity, ByteView context) {
    unsigned char* der = nullptr;
    const int der_size = i2d_PUBKEY(identity.key(), &der);
    if (der_size <= 0) return openssl_fail("cannot encode a key");
    const std::string key = to_base64url({der, static_cast<std::size_t>(der_size)});
    OPENSSL_free(der);

    const Bytes text = signed_text(context);
    const DigestPtr digest(EVP_MD_CTX_new());
    std::size_t size = 0;
    if (!digest || EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, identity.key()) != 1 ||
        EVP_DigestSign(digest.get(), nullptr, &size, text.data(), text.size()) != 1)
        return openssl_fail("cannot sign with a key");
    Bytes signature(size);
    if (EVP_DigestSign(digest.get(), signature.data(), &size, text.data(), text.size()) != 1)
        return openssl_fail("cannot sign with a key");
    signature.resize(size);
    return key + "." + to_base64url(signature);
}

Result<std::string> proven_key(std::string_view proof, ByteView context) {
    const auto refused = [] {
        ERR_clear_error();
        return fail(ErrorCode::NotPermitted, "the peer does not prove that it holds its key");
    };
    const auto dot = proof.find('.');
    if (dot == std::string_view::npos) return refused();
    const auto der = from_base64url(proof.substr(0, dot));
    const auto signature = from_base64url(proof.substr(dot + 1));
    if (!der || !signature) return refused();
    const unsigned char* at = der->data();
    const KeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der->size())));
    if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC || EVP_PKEY_get_bits(key.get()) != 256)
        return refused();
    const Bytes text = signed_text(context);
    const DigestPtr digest(EVP_MD_CTX_new());
    if (!digest || EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
        EVP_DigestVerify(digest.get(), signature->data(), signature->size(), text.data(), text.size()) != 1)
        return refused();
    return key_fingerprint(key.get());
}

} // namespace p2prc::net
