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

std::vector<net::Endpoint> own_dns_endpoints() {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
    std::vector<net::Endpoint> all, chosen;
    for (const auto* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP)) continue;
        const int family = entry->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const auto size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        auto endpoint = net::Endpoint::from_sockaddr(entry->ifa_addr, size);
        endpoint.port = dns_port;
        if (!endpoint.address.is_loopback() && !is_link_local(endpoint.address)) all.push_back(endpoint);
    }
    for (const bool v4 : {true, false}) {
        const auto wanted = [&](const net::Endpoint& endpoint, bool global) {
            return endpoint.address.is_v4() == v4 && (!global || endpoint.address.is_global());
        };
        const bool global =
            std::ranges::any_of(all, [&](const auto& endpoint) { return wanted(endpoint, true); });
        for (const auto& endpoint : all)
            if (wanted(endpoint, global)) chosen.push_back(endpoint);
    }
    std::ranges::sort(chosen);
    const auto [first, last] = std::ranges::unique(chosen);
    chosen.erase(first, last);
    return chosen;
}

} // namespace p2prc::edge
