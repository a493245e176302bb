// A DNS server on the loopback whose answers the test makes, and a loop for its clients.
#pragma once

#include "net/dns_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <gmock/gmock.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace p2prc::net::test {

using namespace std::chrono_literals;
using boost::asio::ip::udp;

using Packet = std::string;

// RFC 1035 section 4.1: the question again, and one answer for the name asked for, with TTL 30.
inline Packet answer(const Packet& query, std::uint8_t type, const std::string& rdata) {
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

inline Packet no_such_name(const Packet& query) {
    Packet packet = query.substr(0, query.find('\0', 12) + 5);
    packet[2] = '\x84';
    packet[3] = 3;
    for (std::size_t i = 8; i < 12; ++i)
        packet[i] = 0;
    return packet;
}

// The server answers `respond(query)`; an empty answer, or none that responds, is silence.
class DnsClientTest : public testing::Test {
  protected:
    DnsClientTest() : server(io, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
        options.servers = {Address::v4({127, 0, 0, 1})};
        options.port = server.local_endpoint().port();
        options.timeout = 20s; // where an answer comes
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
        const auto end = std::chrono::steady_clock::now() + 60s;
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

// SOA's MNAME and RNAME, then five numbers (RFC 1035 section 3.3.13).
inline std::string soa(const std::string& primary) {
    return primary + std::string("\0", 1) + std::string(20, '\0');
}

} // namespace p2prc::net::test
