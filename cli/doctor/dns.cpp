// The zone's delegation, asked as the rest of the world would ask.
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "net/dial.h"
#include "net/dns_client.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace p2prc::cli {
namespace {

namespace asio = boost::asio;

constexpr std::uint16_t dns_port = 53;

using Addresses = Result<std::vector<net::Address>>;

// `error` becomes empty if the server has an answer.
asio::awaitable<void> ask_server(std::string server, std::string zone, std::string& error) {
    const auto address = net::Address::parse(server);
    if (!address) {
        error = address.error().message;
        co_return;
    }
    const net::DnsClientOptions options{.servers = {*address}};
    net::DnsClient client(co_await asio::this_coro::executor, options);
    const auto primary = co_await client.primary(zone);
    error = primary ? std::string() : primary.error().message;
}

asio::awaitable<void> ask_world(std::string name, Addresses& addresses) {
    net::DnsClient client(co_await asio::this_coro::executor);
    addresses = co_await client.addresses(name);
}

struct Replies {
    std::vector<std::string> errors; // of the servers, in their order; empty: it has answered
    Addresses addresses = fail(ErrorCode::Failed, "DNS could not be asked"); // of the name server's name
};

// All questions at once.
Replies ask(const std::string& zone, const std::vector<std::string>& servers, const std::string& name) {
    asio::io_context loop(1);
    Replies replies;
    replies.errors.assign(servers.size(), "it could not be asked");
    for (std::size_t i = 0; i < servers.size(); ++i)
        asio::co_spawn(loop, ask_server(servers[i], zone, replies.errors[i]),
                       net::ReportFailure("a DNS query"));
    asio::co_spawn(loop, ask_world(name, replies.addresses), net::ReportFailure("a DNS query"));
    loop.run();
    return replies;
}

bool has_route(const std::string& server) {
    const auto address = net::Address::parse(server);
    return !address || net::has_route({*address, dns_port});
}

} // namespace

Finding judge_name_server(const std::string& zone, const std::string& address, const std::string& error,
                          bool route, bool another_answers) {
    const auto subject = "dns " + address;
    if (error.empty()) return {CheckState::Ok, subject, "answers for " + zone, ""};
    if (!route && another_answers)
        return {CheckState::Ok, subject, "no route there from this machine; another address answers", ""};
    return {CheckState::Fail, subject, error,
            "on the root: systemctl status p2prc-edge; is port 53 (UDP and TCP) open to the Internet?"};
}

Findings check_dns(const Facts& facts) {
    if (facts.empty()) return {unknown("dns")};
    const auto fleet = facts.value("fleet", nlohmann::json::object());
    const auto zone = cell(fleet, "zone");
    if (zone == "-")
        return {{CheckState::Ok, "dns", "not needed: this machine is in no fleet, and has no zone", ""}};
    const auto expected = fleet.value("public_ips", std::vector<std::string>{});
    if (expected.empty())
        return {{CheckState::Warn, "dns", fmt::format("the zone {} has no public address yet", zone),
                 "on the root: p2prc init --public-ip IP"}};
    const auto name = "ns1." + zone;
    const auto replies = ask(zone, expected, name);
    Findings findings;
    const bool any = std::ranges::any_of(replies.errors, &std::string::empty);
    for (std::size_t i = 0; i < expected.size(); ++i)
        findings.push_back(
            judge_name_server(zone, expected[i], replies.errors[i], has_route(expected[i]), any));
    std::vector<std::string> found;
    if (replies.addresses)
        for (const auto& address : *replies.addresses)
            found.push_back(address.text());
    const bool delegated = std::ranges::any_of(
        found, [&](const auto& a) { return std::ranges::find(expected, a) != expected.end(); });
    if (delegated) {
        findings.push_back({CheckState::Ok, "delegation of " + zone, name + " resolves to this fleet", ""});
    } else {
        findings.push_back(
            {CheckState::Fail, "delegation of " + zone,
             found.empty() ? replies.addresses.error().message
                           : fmt::format("{} resolves to {}, not to the root", name, fmt::join(found, ", ")),
             fmt::format("at the registrar of {}, set NS {} and its address {}", zone, name,
                         fmt::join(expected, " and "))});
    }
    return findings;
}

} // namespace p2prc::cli
