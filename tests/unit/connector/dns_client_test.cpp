#include "connector/dns_client.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <gmock/gmock.h>

#include <functional>
#include <optional>

using namespace p2prc;
using namespace p2prc::connector;
using namespace std::chrono_literals;
using boost::asio::ip::udp;

namespace {

using Packet = std::string;

// RFC 1035 section 4.1: the question again, and one answer for the name asked for, with TTL 30.
Packet answer(const Packet& query, std::uint8_t type, const std::string& rdata) {
    Packet packet = query.substr(0, query.find('\0', 12) + 5);
    packet[2] = '\x84'; // an authoritative answer
    packet[3] = 0;
    packet[7] = 1; // one of them
    for (std::size_t i = 8; i < 12; ++i)
        packet[i] = 0;
    packet += std::string("\xc0\x0c\0", 3) + static_cast<char>(type) + std::string("\0\1\0\0\0\x1e", 6);
    packet += static_cast<char>(rdata.size() >> 8U);
    packet += static_cast<char>(rdata.size() & 0xffU);
    return packet + rdata;
}

Packet no_such_name(const Packet& query) {
    Packet packet = query.substr(0, query.find('\0', 12) + 5);
    packet[2] = '\x84';
    packet[3] = 3;
    for (std::size_t i = 8; i < 12; ++i)
        packet[i] = 0;
    return packet;
}

class DnsClientTest : public testing::Test {
  protected:
    DnsClientTest() : server(io, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
        options.servers = {net::Address::v4({127, 0, 0, 1})};
        options.port = server.local_endpoint().port();
        options.timeout = 100ms;
        listen();
    }
    void listen() {
        server.async_receive_from(
            boost::asio::buffer(buffer), from, [this](const auto& error, std::size_t size) {
                if (error) return;
                ++asked;
                const Packet reply = respond ? respond(Packet(buffer.data(), size)) : Packet();
                if (!reply.empty()) server.send_to(boost::asio::buffer(reply), from);
                listen();
            });
    }
    template <class Value>
    Result<Value> run(boost::asio::awaitable<Result<Value>> work) {
        std::optional<Result<Value>> result;
        boost::asio::co_spawn(io, std::move(work),
                              [&](std::exception_ptr, Result<Value> value) { result = std::move(value); });
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!result && std::chrono::steady_clock::now() < end)
            io.run_one_for(100ms);
        if (!result) return fail(ErrorCode::Failed, "the test has waited for too long");
        return std::move(*result);
    }

    boost::asio::io_context io;
    udp::socket server;
    udp::endpoint from;
    std::array<char, 2048> buffer{};
    DnsClientOptions options;
    std::function<Packet(const Packet&)> respond;
    int asked = 0;
};

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
    EXPECT_EQ(run(client.texts("b.home.example")).error().code, ErrorCode::Unreachable);
}

TEST_F(DnsClientTest, RubbishIsNoAnswer) {
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
    io.run_for(20ms);
    EXPECT_EQ(ended, ErrorCode::Unreachable);
}

// SOA's MNAME and RNAME, then five numbers (RFC 1035 section 3.3.13).
std::string soa(const std::string& primary) {
    return primary + std::string("\0", 1) + std::string(20, '\0');
}

TEST_F(DnsClientTest, AZoneIsDelegatedWhenItsPrimaryIsTheRoot) {
    const std::string ours("\x03NS1\x04home\x07"
                           "example\0",
                           18);
    respond = [&](const Packet& query) { return answer(query, 6, soa(ours)); };
    const auto delegated = run(check_delegation("home.example", options));
    EXPECT_TRUE(delegated) << delegated.error().message;
    const std::string parked("\x04"
                             "park\x09"
                             "registrar\x07"
                             "example\0",
                             24);
    respond = [&](const Packet& query) { return answer(query, 6, soa(parked)); };
    const auto elsewhere = run(check_delegation("home.example", options));
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().message, testing::HasSubstr("park.registrar.example answers for it"));
    respond = no_such_name;
    const auto nowhere = run(check_delegation("home.example", options));
    ASSERT_FALSE(nowhere);
    EXPECT_THAT(nowhere.error().message,
                testing::HasSubstr("home.example is not delegated to this root yet"));
}

} // namespace
