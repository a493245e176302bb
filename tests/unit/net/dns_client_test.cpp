#include "tests/unit/net/dns_fixture.h"
#include "tests/unit/support/eventually.h"

using namespace p2prc;
using namespace p2prc::net;
using namespace p2prc::net::test;

namespace {

TEST_F(DnsClientTest, TextsArePutTogetherFromTheirStrings) {
    respond = [](const Packet& query) {
        return answer(query, 16,
                      "\x03"
                      "abc"
                      "\x02"
                      "de");
    };
    DnsClient client(io.get_executor(), options);
    const auto texts = run(client.texts("_acme-challenge.app.home.example"));
    ASSERT_TRUE(texts) << texts.error().message;
    EXPECT_EQ(*texts, std::vector<std::string>{"abcde"});
    EXPECT_TRUE(run(client.texts("again.home.example")));
}

TEST_F(DnsClientTest, AbsenceAndSilenceAreToldApart) {
    DnsClient client(io.get_executor(), options);
    respond = no_such_name;
    EXPECT_EQ(run(client.texts("a.home.example")).error().code, ErrorCode::NotFound);
    respond = nullptr;
    options.timeout = 100ms;
    DnsClient hasty(io.get_executor(), options);
    EXPECT_EQ(run(hasty.texts("b.home.example")).error().code, ErrorCode::Unreachable);
}

TEST_F(DnsClientTest, RubbishIsNoAnswer) {
    options.timeout = 100ms;
    DnsClient client(io.get_executor(), options);
    for (const std::string& rdata : {std::string("\xff"
                                                 "abc"),
                                     std::string(600, '\xff')}) {
        respond = [&](const Packet& query) { return answer(query, 16, rdata); };
        EXPECT_FALSE(run(client.texts("a.home.example")));
        respond = [&](const Packet& query) { return answer(query, 6, rdata); };
        EXPECT_FALSE(run(client.primary("home.example")));
        respond = [&](const Packet& query) { return query.substr(0, 14); };
        EXPECT_FALSE(run(client.texts("a.home.example")));
    }
}

TEST_F(DnsClientTest, AClientThatGoesLeavesNothingBehind) {
    std::optional<ErrorCode> ended;
    auto client = std::make_unique<DnsClient>(io.get_executor(), options);
    boost::asio::co_spawn(io, client->texts("a.home.example"), [&](std::exception_ptr, auto result) {
        ended = result ? ErrorCode::Failed : result.error().code;
    });
    io.run_for(20ms);
    client.reset();
    EXPECT_TRUE(p2prc::test::eventually(io, [&] { return ended.has_value(); }));
    EXPECT_EQ(ended, ErrorCode::Unreachable);
}

TEST_F(DnsClientTest, AddressesAreOfBothFamilies) {
    respond = [](const Packet& query) {
        const char type = query[query.find('\0', 12) + 2];
        if (type == 1) return answer(query, 1, std::string("\xcb\0\x71\7", 4));
        return answer(query, 28, std::string("\x20\1\x0d\xb8", 4) + std::string(11, '\0') + "\7");
    };
    DnsClient client(io.get_executor(), options);
    const auto found = run(client.addresses("ns1.home.example"));
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_THAT(*found, testing::UnorderedElementsAre(*Address::parse("203.0.113.7"),
                                                      *Address::parse("2001:db8::7")));
    respond = no_such_name;
    const auto none = run(client.addresses("ns1.other.example"));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::NotFound);
}

} // namespace
