#include "core/name_servers.h"

#include "core/ip_text.h"

#include <algorithm>

namespace p2prc {

std::vector<NameServer> name_servers(std::string_view zone, std::span<const std::string> addresses) {
    std::vector<std::string> ipv4, ipv6;
    for (const std::string& text : addresses) {
        if (const auto family = ip_family(text)) (*family == IpFamily::V4 ? ipv4 : ipv6).push_back(text);
    }
    std::vector<NameServer> servers;
    for (std::size_t i = 0; i < std::max(ipv4.size(), ipv6.size()); ++i)
        servers.push_back({"ns" + std::to_string(i + 1) + "." + std::string(zone),
                           i < ipv4.size() ? ipv4[i] : "", i < ipv6.size() ? ipv6[i] : ""});
    return servers;
}

} // namespace p2prc
