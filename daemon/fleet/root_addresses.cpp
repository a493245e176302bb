#include "daemon/fleet/root_addresses.h"

#include "core/json_members.h"

#include <algorithm>

namespace p2prc::daemon {

std::vector<net::Address> private_addresses(std::span<const net::Address> of_machine) {
    std::vector<net::Address> list;
    for (const auto& address : of_machine)
        if (!address.is_global() && address.is_v4() && list.size() < most_root_addresses)
            list.push_back(address);
    return list;
}

std::vector<net::Endpoint> root_endpoints(const RootReference& root, const FleetRecord* fleet,
                                          const nlohmann::json* root_info,
                                          std::span<const net::Address> of_this_machine, std::uint16_t port) {
    std::vector<net::Endpoint> endpoints;
    const auto add = [&](const net::Endpoint& endpoint) {
        if (std::ranges::find(endpoints, endpoint) == endpoints.end()) endpoints.push_back(endpoint);
    };
    // The replica is this root's only once the link was up for the first time.
    const bool known = fleet && fleet->zone == root.zone;
    if (known)
        for (const auto& text : fleet->public_ips)
            if (const auto address = net::Address::parse(text)) add({*address, port});
    for (const auto& endpoint : root.addresses)
        add(endpoint);
    if (!known || !root_info) return endpoints;
    std::vector<net::Address> told;
    for (const auto& text : json::member<std::vector<std::string>>(*root_info, "private_addresses"))
        if (const auto address = net::Address::parse(text); address && !address->is_loopback())
            told.push_back(*address);
    // Bridges of containers have the same address on many machines.
    for (const auto& address : private_addresses(told))
        if (std::ranges::find(of_this_machine, address) == of_this_machine.end()) add({address, port});
    return endpoints;
}

} // namespace p2prc::daemon
