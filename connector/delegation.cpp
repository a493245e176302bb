#include "connector/delegation.h"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::connector {
namespace asio = boost::asio;

asio::awaitable<Result<void>> check_delegation(std::string zone, net::DnsClientOptions options) {
    net::DnsClient client(co_await asio::this_coro::executor, std::move(options));
    const Result<std::string> primary = co_await client.primary(zone);
    // The root's own SOA names ns1 of the zone as primary server; a registrar's SOA names another one.
    const std::string expected = "ns1." + zone;
    const auto lower = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
    if (primary && std::ranges::equal(*primary, expected, {}, lower, lower)) co_return Result<void>{};
    const std::string why =
        primary ? fmt::format("{} answers for it", *primary) : std::string(primary.error().message);
    co_return fail(ErrorCode::Unreachable,
                   fmt::format("{} is not delegated to this root yet ({})", zone, why),
                   fmt::format("at the registrar of {}, set its NS record to {} with the root's address; "
                               "this is checked every minute",
                               zone, expected));
}

} // namespace p2prc::connector
