#include "connector/certificate_request.h"

#include "net/openssl.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

namespace p2prc::connector {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, net::OpenSslFree<X509_REQ_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, net::OpenSslFree<GENERAL_NAMES_free>>;

// Built from values, not from OpenSSL's configuration syntax, in which a name could inject other settings.
bool add_name(X509_REQ* request, const std::string& domain) {
    const GeneralNamesPtr names(GENERAL_NAMES_new());
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    if (!names || !name || !text) return false;
    ASN1_STRING_set(text, domain.data(), static_cast<int>(domain.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names.get(), name);
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    const bool added =
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, names.get(), 0, X509V3_ADD_APPEND) == 1 &&
        X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return added;
}

// In 64 bits whatever this machine's time_t has: on 32-bit Debian 12 that ends in 2038. RFC 5280 section
// 4.1.2.5 gives the year 9999 to what has no end; the clock's nanoseconds reach to 2262.
std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
    constexpr std::chrono::sys_seconds latest = std::chrono::sys_days(std::chrono::year(2255) / 1 / 1);
    static_assert(sizeof(std::chrono::sys_seconds::rep) == 8);
    std::tm parts{};
    ASN1_TIME_to_tm(time, &parts);
    const std::chrono::sys_seconds seconds =
        std::chrono::sys_days(std::chrono::year(parts.tm_year + 1900) /
                              (static_cast<unsigned>(parts.tm_mon) + 1U) /
                              static_cast<unsigned>(parts.tm_mday)) +
        std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
        std::chrono::seconds(parts.tm_sec);
    return std::min(seconds, latest);
}

} // namespace

Result<CertificateRequest> make_certificate_request(const std::string& domain) {
    const net::KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    const RequestPtr request(X509_REQ_new());
    if (!key || !request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(request.get(), key.get()) != 1 || !add_name(request.get(), domain) ||
        X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0)
        return net::openssl_fail("cannot make a certificate request for " + domain);
    const net::BioPtr key_out(BIO_new(BIO_s_mem()));
    const net::BioPtr csr_out(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
        PEM_write_bio_X509_REQ(csr_out.get(), request.get()) != 1)
        return net::openssl_fail("cannot write a certificate request for " + domain);
    return CertificateRequest{net::bio_text(key_out.get()), net::bio_text(csr_out.get())};
}

Result<Validity> certificate_validity(const std::string& pem) {
    const net::BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const net::CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, net::no_passphrase, nullptr));
    if (!certificate) return net::openssl_fail("the certificate cannot be read");
    return Validity{time_of(X509_get0_notBefore(certificate.get())),
                    time_of(X509_get0_notAfter(certificate.get()))};
}

} // namespace p2prc::connector
