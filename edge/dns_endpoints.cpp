#include "edge/dns_endpoints.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace p2prc::edge {
namespace {

constexpr std::uint16_t dns_port = 53;

bool is_link_local(const net::Address& address) noexcept {
    const auto& bytes = address.bytes();
    return address.is_v4() ? bytes[0] == 169 && bytes[1] == 254
                           : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

} // namespace

std::vector<net::Address> choose_dns_addresses(std::span<const net::Address> own,
                                               std::span<const net::Address> published) {
    std::vector<net::Address> chosen;
    for (const bool v4 : {true, false}) {
        const auto of_family = [&](const net::Address& address) {
            return address.is_v4() == v4 && !address.is_loopback() && !is_link_local(address);
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
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
    std::vector<net::Address> own;
    for (const auto* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) continue;
        const int family = entry->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const auto size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        own.push_back(net::Endpoint::from_sockaddr(entry->ifa_addr, size).address);
    }
    std::vector<net::Endpoint> endpoints;
    for (const auto& address : choose_dns_addresses(own, published))
        endpoints.push_back({address, dns_port});
    return endpoints;
}

} // namespace p2prc::edge
