#include "daemon/fleet/web_ca.h"
#include "net/openssl.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace p2prc::daemon {
namespace {

using net::BioPtr;
using net::CertificatePtr;
using net::KeyPtr;
using net::OpenSslFree;

std::string request_for(EVP_PKEY* key, EVP_PKEY* signer, const char* asked = "evil.example") {
    const std::unique_ptr<X509_REQ, OpenSslFree<X509_REQ_free>> request(X509_REQ_new());
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(asked), -1, -1, 0);
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(extensions,
                           X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE"));
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_set_pubkey(request.get(), key);
    X509_REQ_sign(request.get(), signer, EVP_sha256());
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_REQ(bio.get(), request.get());
    return net::bio_text(bio.get());
}

std::vector<CertificatePtr> read_chain(const std::string& pem) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    std::vector<CertificatePtr> chain;
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        chain.emplace_back(certificate);
    net::openssl_errors();
    return chain;
}

// As a client that trusts the CA checks the leaf for `host` at `time`.
int verify(X509* leaf, X509* ca, const char* host, time_t time) {
    const std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE_free>> store(X509_STORE_new());
    X509_STORE_add_cert(store.get(), ca);
    const std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), leaf, nullptr);
    auto* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set1_host(parameters, host, 0);
    X509_VERIFY_PARAM_set_time(parameters, time);
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    X509_verify_cert(context.get());
    return X509_STORE_CTX_get_error(context.get());
}

class WebCaTest : public testing::Test {
  protected:
    net::TemporaryDirectory directory;
    WebCa ca = *WebCa::load_or_create(directory.path() / "web-ca", "home.example");
    KeyPtr key{EVP_EC_gen("P-256")};
    static constexpr std::int64_t now = 1'800'000'000;
};

TEST_F(WebCaTest, SignsForExactlyTheDomain) {
    const auto chain_pem = ca.sign("calendar.home.example", request_for(key.get(), key.get()), now);
    ASSERT_TRUE(chain_pem) << chain_pem.error().message;
    const auto chain = read_chain(*chain_pem);
    ASSERT_EQ(chain.size(), 2U);
    EXPECT_EQ(verify(chain[0].get(), chain[1].get(), "calendar.home.example", now), X509_V_OK);
    EXPECT_EQ(verify(chain[0].get(), chain[1].get(), "evil.example", now), X509_V_ERR_HOSTNAME_MISMATCH);
    EXPECT_EQ(verify(chain[0].get(), chain[1].get(), "calendar.home.example", now + 91 * 86400),
              X509_V_ERR_CERT_HAS_EXPIRED);
    EXPECT_EQ(X509_check_ca(chain[0].get()), 0) << "what the request asks for is ignored";
    EXPECT_EQ(X509_check_ca(chain[1].get()), 1);
}

TEST_F(WebCaTest, LongNamesAndWildcardsToo) {
    const std::string label(60, 'a');
    for (const auto& domain : {label + "." + label + ".home.example", std::string("*.home.example"),
                               std::string("home.example")}) {
        const auto chain_pem = ca.sign(domain, request_for(key.get(), key.get()), now);
        ASSERT_TRUE(chain_pem) << chain_pem.error().message;
        const auto chain = read_chain(*chain_pem);
        const auto host = domain.starts_with('*') ? "x.home.example" : domain;
        EXPECT_EQ(verify(chain[0].get(), chain[1].get(), host.c_str(), now), X509_V_OK) << domain;
    }
}

TEST_F(WebCaTest, RsaKeysOfAGoodSize) {
    const KeyPtr large(EVP_RSA_gen(2048)), small(EVP_RSA_gen(1024));
    EXPECT_TRUE(ca.sign("a.home.example", request_for(large.get(), large.get()), now));
    EXPECT_EQ(ca.sign("a.home.example", request_for(small.get(), small.get()), now).error().code,
              ErrorCode::InvalidSpec);
}

TEST_F(WebCaTest, RefusesWhatIsNotProvenOrNotOurs) {
    const KeyPtr other(EVP_EC_gen("P-256"));
    EXPECT_EQ(ca.sign("a.home.example", request_for(key.get(), other.get()), now).error().code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(ca.sign("a.home.example", "no request", now).error().code, ErrorCode::InvalidSpec);
    EXPECT_EQ(ca.sign("a.home.example", std::string(20000, 'x'), now).error().code, ErrorCode::InvalidSpec);
    const auto good = request_for(key.get(), key.get());
    EXPECT_EQ(ca.sign("a.other.example", good, now).error().code, ErrorCode::NotPermitted);
    EXPECT_EQ(ca.sign("nothome.example", good, now).error().code, ErrorCode::NotPermitted);
    EXPECT_FALSE(ca.sign("a.home.example,DNS:evil.example", good, now));
}

TEST_F(WebCaTest, StaysTheSame) {
    const auto again = WebCa::load_or_create(directory.path() / "web-ca", "home.example");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->certificate_pem(), ca.certificate_pem());
    EXPECT_EQ(again->zone(), "home.example");
    EXPECT_EQ(WebCa::load_or_create(directory.path() / "web-ca", "other.example").error().code,
              ErrorCode::Conflict);
    EXPECT_FALSE(*WebCa::load(directory.path() / "none"));
}

} // namespace
} // namespace p2prc::daemon
