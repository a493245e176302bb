#include "connector/certificate_request.h"
#include "connector/certificates.h"
#include "net/asio.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/openssl.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/eventually.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

using namespace p2prc;
using namespace p2prc::connector;
using namespace std::chrono_literals;

namespace {

using SystemTime = std::chrono::system_clock::time_point;
using testing::HasSubstr;

const SystemTime today = std::chrono::sys_days(std::chrono::year(2026) / 6 / 1);

struct Pem {
    std::string certificate;
    std::string key;
};

Pem self_signed(SystemTime from, std::time_t until) {
    const net::KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    const net::CertificatePtr certificate(X509_new());
    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), std::chrono::system_clock::to_time_t(from));
    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), until);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    const net::BioPtr certificate_out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(certificate_out.get(), certificate.get());
    const net::BioPtr key_out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {net::bio_text(certificate_out.get()), net::bio_text(key_out.get())};
}

Pem self_signed(SystemTime from, SystemTime until) {
    return self_signed(from, std::chrono::system_clock::to_time_t(until));
}

// Always fails, and remembers what it was told.
class Refusing final : public CertificateSource {
  public:
    boost::asio::awaitable<Result<std::string>> sign(std::string, std::string) override {
        ++asked;
        co_return fail(ErrorCode::Unreachable, "the authority is away");
    }
    boost::asio::awaitable<Result<void>> issue(std::string domain) override {
        ++asked;
        names.push_back(domain);
        if (domain == stuck) {
            boost::asio::steady_timer never(co_await boost::asio::this_coro::executor, 1h);
            co_await never.async_wait(net::as_result);
        }
        co_return fail(ErrorCode::Unreachable, "the authority is away");
    }
    boost::asio::awaitable<bool> report(std::string, std::string state, std::string detail,
                                        std::string) override {
        last_state = std::move(state);
        last_detail = std::move(detail);
        ++reports;
        co_return heard;
    }

    int asked = 0;
    std::vector<std::string> names;
    std::string stuck; // never answered
    std::string last_state;
    std::string last_detail;
    int reports = 0;
    bool heard = true;
};

TEST(CertificateValidity, ReadsOneWithoutAnEnd) {
    constexpr std::time_t end_of_9999 = 253'402'300'799;
    const auto validity = certificate_validity(self_signed(today, end_of_9999).certificate);
    ASSERT_TRUE(validity) << validity.error().message;
    EXPECT_GT(validity->until, today + std::chrono::years(100));
    EXPECT_GT(validity->renew_at(), today + std::chrono::years(100));
}

TEST(CertificateValidity, IsExactBeyond2038) {
    using std::chrono::sys_days;
    using std::chrono::year;
    const SystemTime from = sys_days(year(2038) / 1 / 19) + 3h + 14min + 9s; // one second and one more
    const SystemTime until = sys_days(year(2044) / 2 / 29) + 23h + 59min + 58s;
    const auto validity = certificate_validity(self_signed(from, until).certificate);
    ASSERT_TRUE(validity) << validity.error().message;
    EXPECT_EQ(validity->from, from);
    EXPECT_EQ(validity->until, until);
    EXPECT_EQ(net::to_rfc3339(validity->until), "2044-02-29T23:59:58Z");
}

class CertificatesTest : public testing::Test {
  protected:
    CertificatesTest() {
        options.directory = directory.path();
        options.first_retry = options.longest_retry = 20ms;
        options.now = [this] { return now; };
    }
    void start(const Mapping& mapping) {
        MappingTable table;
        table.mappings[mapping.id] = mapping;
        start(table);
    }
    // Of a fleet with an ACME server.
    void order(std::vector<std::string> domains) {
        MappingTable table;
        table.zone = "home.example";
        table.acme = "https://acme.example/dir";
        for (const std::string& domain : domains) {
            const auto id = static_cast<std::uint32_t>(table.mappings.size() + 1);
            table.mappings[id] = {id, domain, 80};
        }
        start(table);
    }
    void start(const MappingTable& table) {
        certificates.emplace(
            io.get_executor(), source,
            [this](const std::string&, std::shared_ptr<ssl_ctx_st> context) {
                installed = context != nullptr;
            },
            options);
        certificates->set_mappings(table);
    }
    void settle() { io.run_for(200ms); }

    net::TemporaryDirectory directory;
    CertificateOptions options;
    SystemTime now = today;
    boost::asio::io_context io;
    Refusing source;
    bool installed = false;
    std::optional<Certificates> certificates;
};

TEST_F(CertificatesTest, TriesAgainAlthoughTheClockWasSetBackMeanwhile) {
    now = today + std::chrono::years(4);
    start({1, "app.home.example", 80});
    ASSERT_TRUE(test::eventually(io, [&] { return source.asked == 1 && source.last_state == "failed"; }));
    now = today;
    EXPECT_TRUE(test::eventually(io, [&] { return source.asked >= 3; }));
}

TEST_F(CertificatesTest, AnExpiredOneThatCannotBeRenewedHasFailed) {
    const Pem pem = self_signed(today - 90 * 24h, today - 1h);
    const auto file = directory.path() / "certs/app.home.example/bundle.pem";
    std::filesystem::create_directories(file.parent_path());
    ASSERT_TRUE(net::write_file_atomically(file, pem.certificate + pem.key));
    start({1, "app.home.example", 80});
    EXPECT_TRUE(test::eventually(io, [&] { return source.asked >= 1 && source.last_state == "failed"; }))
        << source.last_state;
}

TEST_F(CertificatesTest, OneThatLivesStaysReadyWhenItsRenewalFails) {
    const Pem pem = self_signed(today - 80 * 24h, today + 10 * 24h);
    const auto file = directory.path() / "certs/app.home.example/bundle.pem";
    std::filesystem::create_directories(file.parent_path());
    ASSERT_TRUE(net::write_file_atomically(file, pem.certificate + pem.key));
    start({1, "app.home.example", 80});
    EXPECT_TRUE(test::eventually(io, [&] { return source.last_detail == "the authority is away"; }));
    EXPECT_EQ(source.last_state, "ready");
    EXPECT_TRUE(installed);
}

TEST_F(CertificatesTest, AReportThatIsRefusedIsMadeAgainWithTheNextTable) {
    const Pem pem = self_signed(today - 10 * 24h, today + 80 * 24h);
    const auto file = directory.path() / "certs/app.home.example/bundle.pem";
    std::filesystem::create_directories(file.parent_path());
    ASSERT_TRUE(net::write_file_atomically(file, pem.certificate + pem.key));
    MappingTable table;
    table.mappings[1] = {1, "app.home.example", 80};
    source.heard = false; // the domain is away for a moment
    start(table);
    ASSERT_TRUE(test::eventually(io, [&] { return source.reports == 1; }));
    settle();
    EXPECT_EQ(source.reports, 1);
    source.heard = true;
    certificates->set_mappings(table);
    EXPECT_TRUE(test::eventually(io, [&] { return source.reports == 2; }));
    certificates->set_mappings(table);
    settle();
    EXPECT_EQ(source.reports, 2) << "what was heard is not said again";
    EXPECT_EQ(source.last_state, "ready");
}

TEST_F(CertificatesTest, OwnFilesThatCannotBeReadAreNamedAndReadLater) {
    const auto chain = directory.path() / "chain.pem", key = directory.path() / "key.pem";
    start({1, "app.home.example", 80, TlsMode::Node, chain.string(), key.string()});
    ASSERT_TRUE(test::eventually(io, [&] { return source.last_state == "failed"; }));
    EXPECT_THAT(source.last_detail, HasSubstr(chain.string()));
    EXPECT_EQ(source.asked, 0) << "nobody else can get what the file of mappings names";
    const Pem pem = self_signed(today, today + 24h);
    ASSERT_TRUE(net::write_file_atomically(key, pem.key));
    ASSERT_TRUE(net::write_file_atomically(chain, pem.certificate));
    EXPECT_TRUE(test::eventually(io, [&] { return installed; }));
}

TEST_F(CertificatesTest, NoOrderBeforeTheWorldAsksTheRoot) {
    bool delegated = false;
    options.delegation_retry = 20ms;
    options.check_delegation = [&](std::string zone) -> boost::asio::awaitable<Result<void>> {
        if (delegated) co_return Result<void>{};
        co_return fail(ErrorCode::Unreachable, zone + " is not delegated to this root yet");
    };
    order({"app.home.example"});
    ASSERT_TRUE(
        test::eventually(io, [&] { return source.last_state == "pending" && !source.last_detail.empty(); }));
    EXPECT_THAT(source.last_detail, HasSubstr("home.example is not delegated to this root yet"));
    settle();
    EXPECT_EQ(source.asked, 0);
    delegated = true;
    EXPECT_TRUE(test::eventually(io, [&] { return source.asked > 0; }));
}

TEST_F(CertificatesTest, OrdersThatFailAreFewAnHourAlsoOverARestart) {
    order({"app.home.example"});
    ASSERT_TRUE(test::eventually(io, [&] { return source.asked == 5; }));
    settle();
    certificates->retry();
    settle();
    EXPECT_TRUE(test::eventually(io, [&] {
        return source.last_detail.find("5 orders have failed") != std::string::npos;
    })) << source.last_detail;
    EXPECT_EQ(source.asked, 5);
    order({"app.home.example"});
    settle();
    EXPECT_EQ(source.asked, 5);
    now += 61min;
    order({"app.home.example"});
    EXPECT_TRUE(test::eventually(io, [&] { return source.asked > 5; }));
}

TEST_F(CertificatesTest, OneThatHangsHoldsUpNoOther) {
    source.stuck = "a.home.example";
    order({"a.home.example", "b.home.example"});
    EXPECT_TRUE(test::eventually(io, [&] { return std::ranges::count(source.names, "b.home.example") > 1; }));
}

TEST_F(CertificatesTest, ANameOutsideTheZoneIsHopelessAndSaysSo) {
    order({"blog.other.example"});
    ASSERT_TRUE(test::eventually(io, [&] { return source.last_state == "failed"; }));
    EXPECT_THAT(source.last_detail, HasSubstr("passthrough"));
    EXPECT_EQ(source.asked, 0);
}

} // namespace
