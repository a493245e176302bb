#include "edge/dns_endpoints.h"

#include "net/interfaces.h"

#include <algorithm>

namespace p2prc::edge {
namespace {

constexpr std::uint16_t dns_port = 53;

} // namespace

std::vector<net::Address> choose_dns_addresses(std::span<const net::Address> own,
                                               std::span<const net::Address> published) {
    std::vector<net::Address> chosen;
    for (const bool v4 : {true, false}) {
        const auto of_family = [&](const net::Address& address) {
            return address.is_v4() == v4 && !address.is_loopback() && !address.is_link_local();
        };
        const auto global = [&](const net::Address& address) {
            return of_family(address) && address.is_global();
        };
        const auto here = [&](const net::Address& address) {
            return global(address) && std::ranges::find(published, address) != published.end();
        };
        const bool only_global =
            std::ranges::any_of(own, global) &&
            (std::ranges::any_of(own, here) ||
             std::ranges::none_of(published, [&](const auto& address) { return address.is_v4() == v4; }));
        for (const auto& address : own)
            if (only_global ? global(address) : of_family(address)) chosen.push_back(address);
    }
    std::ranges::sort(chosen);
    const auto [first, last] = std::ranges::unique(chosen);
    chosen.erase(first, last);
    return chosen;
}

std::vector<net::Endpoint> own_dns_endpoints(std::span<const net::Address> published) {
    std::vector<net::Address> own;
    for (const auto& entry : net::interface_addresses())
        own.push_back(entry.address);
    std::vector<net::Endpoint> endpoints;
    for (const auto& address : choose_dns_addresses(own, published))
        endpoints.push_back({address, dns_port});
    return endpoints;
}

} // namespace p2prc::edge
