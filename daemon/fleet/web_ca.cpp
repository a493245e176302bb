#include "daemon/fleet/web_ca.h"

#include "core/names.h"
#include "net/file.h"
#include "net/identity.h"
#include "net/openssl.h"

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace p2prc::daemon {

using net::BioPtr;
using net::CertificatePtr;
using net::openssl_fail;
using net::OpenSslFree;

namespace {

constexpr int leaf_days = 90;
constexpr std::size_t max_request = 16384;
constexpr std::string_view common_name_prefix = "p2prc web CA of ";

using RequestPtr = std::unique_ptr<X509_REQ, OpenSslFree<X509_REQ_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpenSslFree<BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslFree<X509_EXTENSION_free>>;

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// 127 random bits: positive, at most 20 octets (RFC 5280 section 4.1.2.2).
bool set_serial(X509* certificate) {
    const BignumPtr number(BN_new());
    return number && BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_common_name(X509* certificate, const std::string& text) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, bytes,
                                      static_cast<int>(text.size()), -1, 0) == 1;
}

// Its dates do not matter to who trusts it by hand, and no wrong clock may make it useless.
Result<CertificatePtr> make_ca(const net::Identity& key, const std::string& zone) {
    CertificatePtr ca(X509_new());
    // ub-common-name is 64 (RFC 5280 appendix A); the zone is in the constraints anyway.
    const auto name = std::string(common_name_prefix) + zone;
    const std::string constraints = "critical,permitted;DNS:" + zone +
                                    ",excluded;IP:0.0.0.0/0.0.0.0"
                                    ",excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";
    if (!ca || X509_set_version(ca.get(), X509_VERSION_3) != 1 || !set_serial(ca.get()) ||
        ASN1_TIME_set_string_X509(X509_getm_notBefore(ca.get()), "20000101000000Z") != 1 ||
        ASN1_TIME_set_string_X509(X509_getm_notAfter(ca.get()), "20991231235959Z") != 1 ||
        !set_common_name(ca.get(), name.substr(0, 64)) ||
        X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get())) != 1 ||
        X509_set_pubkey(ca.get(), key.key()) != 1 ||
        !add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
        // Not of RFC 5280, but what verifiers make of it: nothing below it signs code or mail.
        !add_extension(ca.get(), ca.get(), NID_ext_key_usage, "serverAuth") ||
        !add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash") ||
        !add_extension(ca.get(), ca.get(), NID_name_constraints, constraints) ||
        X509_sign(ca.get(), key.key(), EVP_sha256()) == 0)
        return openssl_fail("cannot make the web CA");
    return ca;
}

// The zone that the name constraints permit.
std::string constrained_zone(X509* certificate) {
    using ConstraintsPtr = std::unique_ptr<NAME_CONSTRAINTS, OpenSslFree<NAME_CONSTRAINTS_free>>;
    const ConstraintsPtr constraints(static_cast<NAME_CONSTRAINTS*>(
        X509_get_ext_d2i(certificate, NID_name_constraints, nullptr, nullptr)));
    if (!constraints || sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees) != 1) return {};
    const auto* base = sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, 0)->base;
    if (base->type != GEN_DNS) return {};
    const auto* text = base->d.dNSName;
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<std::size_t>(ASN1_STRING_length(text))};
}

bool good_key(const EVP_PKEY* key) {
    const int bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return bits >= 2048 && bits <= 8192;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
    char group[64] = {};
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return false;
    const std::string_view name(group, size);
    return name == SN_X9_62_prime256v1 || name == SN_secp384r1;
}

Result<RequestPtr> read_request(const std::string& pem) {
    const auto bad = [](const std::string& why) {
        return fail(ErrorCode::InvalidSpec, "the certificate request " + why);
    };
    if (pem.size() > max_request) return bad("is too large");
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, net::no_passphrase, nullptr));
    if (!request) {
        net::openssl_errors();
        return bad("is not PKCS #10 in PEM");
    }
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    if (!key || !good_key(key)) {
        net::openssl_errors();
        return bad("must have a key of P-256, P-384 or RSA with 2048 to 8192 bits");
    }
    if (X509_REQ_verify(request.get(), key) != 1) {
        net::openssl_errors();
        return bad("is not signed by its own key");
    }
    return request;
}

} // namespace

Result<std::optional<WebCa>> WebCa::load(const std::filesystem::path& directory) {
    const auto path = directory / "ca.pem";
    const auto pem = net::read_file(path, 1 << 16);
    if (!pem && pem.error().code == ErrorCode::NotFound) return std::optional<WebCa>();
    if (!pem) return std::unexpected(pem.error());
    const auto key = net::load_or_create_identity(directory);
    if (!key) return std::unexpected(key.error());
    const BioPtr bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
    const std::shared_ptr<X509> certificate(
        PEM_read_bio_X509(bio.get(), nullptr, net::no_passphrase, nullptr), X509_free);
    if (!certificate) return openssl_fail(path.string() + " is not a certificate");
    if (net::certificate_fingerprint(certificate.get()) != key->fingerprint())
        return fail(ErrorCode::Failed, path.string() + " does not belong to the key beside it",
                    "restore " + directory.string() +
                        " from a backup, or remove it: then a new web CA is made");
    WebCa ca;
    ca.key_ = std::shared_ptr<EVP_PKEY>(key->key(), [keep = *key](EVP_PKEY*) {});
    ca.certificate_ = certificate;
    ca.pem_ = *pem;
    ca.zone_ = constrained_zone(certificate.get());
    return std::optional(std::move(ca));
}

Result<WebCa> WebCa::load_or_create(const std::filesystem::path& directory, const std::string& zone) {
    auto existing = load(directory);
    if (!existing) return std::unexpected(existing.error());
    if (*existing && (*existing)->zone() != zone)
        return fail(ErrorCode::Conflict, "this node has a web CA for the zone " + (*existing)->zone(),
                    "remove " + directory.string() + " to have a new one made for " + zone);
    if (*existing) return std::move(**existing);

    std::error_code error;
    std::filesystem::create_directories(directory, error);
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
    if (error) return std::unexpected(system_error("cannot make " + directory.string(), error.value()));
    const auto key = net::load_or_create_identity(directory);
    if (!key) return std::unexpected(key.error());
    const auto certificate = make_ca(*key, zone);
    if (!certificate) return std::unexpected(certificate.error());
    const auto pem = net::to_pem(certificate->get());
    if (!pem) return std::unexpected(pem.error());
    if (const auto written = net::write_file_atomically(directory / "ca.pem", *pem); !written)
        return std::unexpected(written.error());
    auto made = load(directory);
    if (!made) return std::unexpected(made.error());
    return std::move(**made);
}

Result<void> WebCa::set_aside(const std::filesystem::path& directory) {
    std::error_code error;
    if (!std::filesystem::exists(directory, error)) return {};
    auto former = directory;
    former += ".former";
    std::filesystem::remove_all(former, error);
    std::filesystem::rename(directory, former, error);
    if (error)
        return std::unexpected(system_error("cannot move " + directory.string() + " aside", error.value()));
    return {};
}

Result<std::string> WebCa::sign(const std::string& domain, const std::string& request_pem,
                                std::int64_t now) const {
    const auto normal = normalize_domain(domain);
    if (!normal) return std::unexpected(normal.error());
    if (!in_zone(*normal, zone_))
        return fail(ErrorCode::NotPermitted, *normal + " is not below " + zone_ +
                                                 ", and the fleet's own CA signs only names below its zone");
    const auto request = read_request(request_pem);
    if (!request) return std::unexpected(request.error());
    EVP_PKEY* key = X509_REQ_get0_pubkey(request->get());
    const bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;

    const CertificatePtr leaf(X509_new());
    X509* issuer = certificate_.get();
    // Clients whose clock is a little behind accept it at once. X509_time_adj_ex(3) counts in days from a
    // base, so that a time_t of 32 bits does not overflow.
    auto base = static_cast<time_t>(now);
    // A name that is too long for a common name stands in the alternative name alone, which is then critical
    // (RFC 5280 section 4.2.1.6).
    const bool named = normal->size() <= 64;
    if (!leaf || X509_set_version(leaf.get(), X509_VERSION_3) != 1 || !set_serial(leaf.get()) ||
        !X509_time_adj_ex(X509_getm_notBefore(leaf.get()), -1, 0, &base) ||
        !X509_time_adj_ex(X509_getm_notAfter(leaf.get()), leaf_days, 0, &base) ||
        (named && !set_common_name(leaf.get(), *normal)) ||
        X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer)) != 1 ||
        X509_set_pubkey(leaf.get(), key) != 1 ||
        !add_extension(leaf.get(), issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(leaf.get(), issuer, NID_key_usage,
                       rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") ||
        !add_extension(leaf.get(), issuer, NID_ext_key_usage, "serverAuth") ||
        !add_extension(leaf.get(), issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(leaf.get(), issuer, NID_authority_key_identifier, "keyid:always") ||
        !add_extension(leaf.get(), issuer, NID_subject_alt_name,
                       (named ? "DNS:" : "critical,DNS:") + *normal) ||
        X509_sign(leaf.get(), key_.get(), EVP_sha256()) == 0)
        return openssl_fail("cannot sign a certificate for " + *normal);
    const auto pem = net::to_pem(leaf.get());
    if (!pem) return pem;
    return *pem + pem_;
}

} // namespace p2prc::daemon
