#include "net/identity.h"

#include "net/file.h"
#include "net/openssl.h"

#include <openssl/pem.h>

namespace p2prc::net {
namespace {

constexpr const char* key_file = "key.pem";

std::string fingerprint_of(const X509_PUBKEY* key) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(key, &der);
    if (size <= 0) return {};
    const auto digest = sha256({der, static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return to_hex(digest);
}

// Valid from the epoch to the date that RFC 5280 section 4.1.2.5 gives to what has no end: no clock matters.
bool set_unlimited_validity(X509* certificate) {
    return ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
           ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1;
}

bool set_name(X509* certificate) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto* text = reinterpret_cast<const unsigned char*>("p2prc");
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

} // namespace

std::string certificate_fingerprint(const x509_st* certificate) {
    return certificate ? fingerprint_of(X509_get_X509_PUBKEY(certificate)) : std::string();
}

std::string key_fingerprint(const evp_pkey_st* key) {
    X509_PUBKEY* encoded = nullptr;
    // The parameter is not const in OpenSSL 3.0, but only its reference count changes.
    if (X509_PUBKEY_set(&encoded, const_cast<EVP_PKEY*>(key)) != 1) return {};
    auto text = fingerprint_of(encoded);
    X509_PUBKEY_free(encoded);
    return text;
}

Result<Identity> Identity::from_key(std::shared_ptr<evp_pkey_st> key) {
    const std::shared_ptr<X509> certificate(X509_new(), X509_free);
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) != 1 ||
        !set_unlimited_validity(certificate.get()) || !set_name(certificate.get()) ||
        X509_set_pubkey(certificate.get(), key.get()) != 1 ||
        X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0)
        return openssl_fail("cannot make a certificate");
    Identity identity;
    identity.key_ = std::move(key);
    identity.certificate_ = certificate;
    identity.fingerprint_ = certificate_fingerprint(certificate.get());
    return identity;
}

Result<Identity> Identity::generate() {
    std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    if (!key) return openssl_fail("cannot make a key");
    return from_key(std::move(key));
}

Result<Identity> Identity::from_pem(const std::string& private_key_pem) {
    const BioPtr bio(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
    std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr),
                                  EVP_PKEY_free);
    if (!key) return openssl_fail("not a private key in PEM");
    if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC || EVP_PKEY_get_bits(key.get()) != 256)
        return fail(ErrorCode::Failed, "not a P-256 key");
    return from_key(std::move(key));
}

Result<std::string> Identity::private_key_pem() const {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    if (!bio || PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return openssl_fail("cannot encode a key");
    return bio_text(bio.get());
}

Result<Identity> load_or_create_identity(const std::filesystem::path& directory) {
    const auto path = directory / key_file;
    const auto existing = read_file(path, 1 << 16);
    if (existing) {
        auto identity = Identity::from_pem(*existing);
        if (!identity)
            return fail(ErrorCode::Failed, path.string() + ": " + identity.error().message,
                        "restore " + path.string() +
                            " from a backup; without it this program has lost its identity");
        return identity;
    }
    if (existing.error().code != ErrorCode::NotFound) return std::unexpected(existing.error());
    return create_identity(directory);
}

Result<Identity> create_identity(const std::filesystem::path& directory) {
    auto identity = Identity::generate();
    if (!identity) return identity;
    const auto pem = identity->private_key_pem();
    if (!pem) return std::unexpected(pem.error());
    if (const auto written = write_file_atomically(directory / key_file, *pem, 0600); !written)
        return std::unexpected(written.error());
    return identity;
}

std::chrono::seconds identity_age(const std::filesystem::path& directory) {
    std::error_code failed;
    const auto made = std::filesystem::last_write_time(directory / key_file, failed);
    const auto age = std::filesystem::file_time_type::clock::now() - made;
    if (failed || age < age.zero()) return std::chrono::seconds::max();
    return std::chrono::duration_cast<std::chrono::seconds>(age);
}

} // namespace p2prc::net
