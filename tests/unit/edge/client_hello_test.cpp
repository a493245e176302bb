// Every way a first flight may look, and what is made of it.
#include "edge/sni/client_hello.h"
#include "edge/sni/server_name.h"
#include "tests/unit/edge/hello_builder.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

namespace p2prc::edge {
namespace {

using Status = ClientHelloReader::Status;
using testing::alpn;
using testing::extension;
using testing::hello;
using testing::message;
using testing::number;
using testing::record;
using testing::records;
using testing::sni;
using testing::vector;

struct Outcome {
    Status status = Status::NeedMore;
    ClientHello hello;
    HelloRefusal refusal{};
    std::size_t consumed = 0;
};

// Feeds `bytes` in segments of `step`.
Outcome read(std::string_view bytes, std::size_t step = std::string_view::npos) {
    ClientHelloReader reader;
    Outcome outcome;
    for (std::size_t have = 0; have < bytes.size() && outcome.status == Status::NeedMore;) {
        have = step > bytes.size() - have ? bytes.size() : have + step;
        outcome.status = reader.read(as_bytes(bytes.substr(0, have)));
    }
    if (outcome.status == Status::Ready) {
        outcome.hello = reader.hello();
        outcome.consumed = reader.consumed();
    }
    outcome.refusal = reader.refusal();
    return outcome;
}

void expect_routed(std::string_view bytes, std::string_view name) {
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{7}, std::size_t{1400}, std::string_view::npos}) {
        const auto outcome = read(bytes, step);
        EXPECT_EQ(outcome.status, Status::Ready)
            << hello_refusal_name(outcome.refusal) << " in steps of " << step;
        EXPECT_EQ(outcome.hello.name, name);
        EXPECT_EQ(outcome.consumed, bytes.size());
    }
}

void expect_refused(std::string_view bytes, HelloRefusal refusal) {
    for (const std::size_t step : {std::size_t{1}, std::string_view::npos}) {
        const auto outcome = read(bytes, step);
        EXPECT_EQ(outcome.status, Status::Refused);
        EXPECT_EQ(hello_refusal_name(outcome.refusal), hello_refusal_name(refusal));
    }
}

TEST(ClientHello, NameAndProtocols) {
    const auto outcome = read(hello("app.home.example"));
    ASSERT_EQ(outcome.status, Status::Ready);
    EXPECT_EQ(outcome.hello.name, "app.home.example");
    EXPECT_EQ(outcome.hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
    EXPECT_FALSE(outcome.hello.sole_alpn("h2"));
}

TEST(ClientHello, SegmentsOfAnySize) {
    expect_routed(hello("app.home.example"), "app.home.example");
}

TEST(ClientHello, PostQuantumKeyShareBeforeTheName) {
    expect_routed(record(message(extension(51, std::string(1700, 'k')) + alpn({"h2"}) + sni("a.b.example"))),
                  "a.b.example");
}

TEST(ClientHello, LargeHellosCutIntoRecordsAnywhere) {
    for (const std::size_t size : {6'000u, 15'000u, 20'000u, 60'000u}) {
        for (const bool name_last : {true, false}) {
            const auto bulk = extension(21, std::string(size, '\0'));
            const auto whole =
                message(name_last ? bulk + sni("big.example.org") : sni("big.example.org") + bulk);
            for (const std::size_t cut : {std::size_t{1'000}, std::size_t{4'096}, std::size_t{16'384}})
                expect_routed(records(whole, cut), "big.example.org");
        }
    }
}

TEST(ClientHello, CutAtEveryByte) {
    const auto whole = message(alpn({"h2"}) + sni("cut.example.org"));
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
        const auto bytes = record(whole.substr(0, cut)) + record(whole.substr(cut));
        const auto outcome = read(bytes, 3);
        ASSERT_EQ(outcome.status, Status::Ready) << cut;
        EXPECT_EQ(outcome.hello.name, "cut.example.org");
        EXPECT_EQ(outcome.consumed, bytes.size());
    }
}

TEST(ClientHello, EarlyDataAfterItIsNotRead) {
    const auto first = hello("app.home.example");
    const auto outcome = read(first + record("\x01", 20) + record("data", 23));
    EXPECT_EQ(outcome.status, Status::Ready);
    EXPECT_EQ(outcome.consumed, first.size());
}

TEST(ClientHello, GreaseAndUnknownExtensionsAreSkipped) {
    expect_routed(record(message(extension(0x0a0a, "") + extension(0xfe0d, std::string(200, 'e')) +
                                 sni("g.example.org") + extension(0x1234, "??") +
                                 extension(0xfafa, std::string(1, '\0')))),
                  "g.example.org");
}

TEST(ClientHello, NamesAreNormalised) {
    expect_routed(hello("App.HOME.Example"), "app.home.example");
    expect_routed(hello("app.home.example."), "app.home.example");
    expect_routed(hello("_x.xn--bcher-kva.example"), "_x.xn--bcher-kva.example");
}

TEST(ClientHello, NamesThatNobodyMayAskForAreRefused) {
    using std::string_literals::operator""s;
    for (const auto& name : {"b.example.com\0.evil"s, "a\x01.example"s, "a b.example"s, "192.0.2.1"s,
                             "192.0.2.1."s, "[2001:db8::1]"s, "2001:db8::1"s, "a..example"s, ".example"s,
                             "a.example.."s, "."s, ""s, std::string(64, 'a') + ".example", "*.example.org"s,
                             "caf\xc3\xa9.example"s, "a.example/x"s, "a.example:443"s})
        expect_refused(hello(name), HelloRefusal::BadName);
    std::string longest;
    while (longest.size() < 240)
        longest += std::string(15, 'a') + ".";
    longest += "bbbbbbbbbbbbb";
    ASSERT_EQ(longest.size(), 253u);
    expect_routed(hello(longest), longest);
    expect_routed(hello(longest + "."), longest);
    expect_refused(hello("b" + longest), HelloRefusal::BadName);
}

TEST(ClientHello, WithoutAName) {
    const auto control = record(message(alpn({"p2prc-control/1"})));
    expect_routed(control, "");
    EXPECT_TRUE(read(control).hello.sole_alpn("p2prc-control/1"));
    // RFC 5246: a hello may end after its compression methods.
    const std::string body = number(0x0301, 2) + std::string(32, 'r') + vector("", 1) +
                             vector(std::string("\x00\x2f", 2), 2) + vector(std::string(1, '\0'), 1);
    expect_routed(record("\x01" + vector(body, 3)), "");
}

TEST(ClientHello, DuplicatesAreRefused) {
    expect_refused(record(message(sni("a.example.org") + sni("b.example.org"))), HelloRefusal::DuplicateSni);
    const auto entry = [](std::string_view name) { return std::string(1, '\0') + vector(name, 2); };
    expect_refused(record(message(extension(0, vector(entry("a.example.org") + entry("b.example.org"), 2)))),
                   HelloRefusal::DuplicateSni);
    expect_refused(record(message(alpn({"h2"}) + alpn({"p2prc-control/1"}))), HelloRefusal::BadAlpn);
}

TEST(ClientHello, ContradictingLengthsAreRefused) {
    const auto entry = std::string(1, '\0') + vector("a.example.org", 2);
    expect_refused(record(message(extension(0, number(entry.size() + 1, 2) + entry))),
                   HelloRefusal::Malformed);
    expect_refused(record(message(extension(0, number(entry.size() - 1, 2) + entry))),
                   HelloRefusal::Malformed);
    expect_refused(record(message(extension(0, ""))), HelloRefusal::Malformed);
    expect_refused(record(message(extension(0, vector("", 2)))), HelloRefusal::Malformed);
    expect_refused(record(message(number(0, 2) + number(999, 2) + "short")), HelloRefusal::Malformed);
    expect_refused(record(message("\x01")), HelloRefusal::Malformed);
    expect_refused(record(message(extension(16, number(9, 2) + vector("h2", 1)))), HelloRefusal::Malformed);
    expect_refused(record(message(alpn({}))), HelloRefusal::BadAlpn);
    expect_refused(record(message(alpn({""}))), HelloRefusal::BadAlpn);
    // More handshake in the record than the message is long.
    const auto whole = message(sni("a.example.org"));
    expect_refused(record(whole + "x"), HelloRefusal::Malformed);
    expect_refused(record(whole.substr(0, whole.size() - 1)) + record(whole.substr(whole.size() - 1) + "x"),
                   HelloRefusal::Malformed);
    // A version other than 3.x inside.
    expect_refused(record("\x01" + vector(number(0x0203, 2) + std::string(60, 'x'), 3)),
                   HelloRefusal::Malformed);
}

TEST(ClientHello, RecordsThatDoNotBelongAreRefused) {
    const auto whole = message(sni("a.example.org"));
    const auto front = record(whole.substr(0, 20));
    expect_refused(record(""), HelloRefusal::BadRecord);
    expect_refused(front + record(""), HelloRefusal::BadRecord);
    expect_refused(front + record("\x02\x32", 21), HelloRefusal::BadRecord);
    expect_refused(front + record("\x01", 20) + record(whole.substr(20)), HelloRefusal::BadRecord);
    expect_refused("\x16\x03\x01\x40\x01" + std::string(100, 'x'), HelloRefusal::BadRecord);
    expect_refused(record(std::string("\x02\x00\x00\x01\x00", 5)), HelloRefusal::NotHello);
}

TEST(ClientHello, SizeIsCapped) {
    expect_refused(record("\x01" + number(ClientHelloReader::max_handshake - 3, 3)), HelloRefusal::TooLarge);
    const auto whole = message(extension(21, std::string(600, '\0')) + sni("a.example.org"));
    expect_refused(records(whole, 8), HelloRefusal::TooLarge);
    const auto sixty_fourth = whole.size() / ClientHelloReader::max_records + 1;
    expect_routed(records(whole, sixty_fourth), "a.example.org");
}

TEST(ClientHello, OtherProtocols) {
    expect_refused("GET / HTTP/1.1\r\n\r\n", HelloRefusal::NotTls);
    expect_refused("SSH-2.0-x\r\n", HelloRefusal::NotTls);
    expect_refused(std::string("\x80\x2e\x01\x00\x02", 5), HelloRefusal::LegacyHello);
    expect_refused(std::string("\xff\xff\xff\xff\xff", 5), HelloRefusal::NotTls);
    expect_refused(std::string("\x16\x02\x00\x00\x05", 5), HelloRefusal::NotTls);
}

TEST(ClientHello, EveryPrefixOnlyWantsMore) {
    const auto bytes = records(message(alpn({"h2"}) + sni("prefix.example.org")), 50);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        ClientHelloReader reader;
        EXPECT_EQ(reader.read(as_bytes(std::string_view(bytes).substr(0, size))), Status::NeedMore) << size;
    }
}

// What OpenSSL's own client sends.
std::string openssl_hello(const char* name, int version) {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                    SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), version);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    if (name)
        SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name));
    const unsigned char protocols[] = "\x0ap2prc-test";
    SSL_set_alpn_protos(ssl.get(), protocols, sizeof protocols - 1);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), in, out);
    SSL_connect(ssl.get());
    std::string bytes(BIO_ctrl_pending(out), '\0');
    BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
}

TEST(ClientHello, RealOnes) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const auto bytes = openssl_hello("Real.Home.Example", version);
        expect_routed(bytes, "real.home.example");
        EXPECT_TRUE(read(bytes).hello.sole_alpn("p2prc-test"));
        expect_routed(openssl_hello(nullptr, version), "");
    }
}

TEST(ServerName, SingleLabelPassesAndNumbersDoNot) {
    EXPECT_EQ(normalize_server_name("localhost"), "localhost");
    EXPECT_EQ(normalize_server_name("1.2.3.4"), std::nullopt);
    EXPECT_EQ(normalize_server_name("host.5"), std::nullopt);
    EXPECT_EQ(normalize_server_name("4.example"), "4.example");
}

} // namespace
} // namespace p2prc::edge
