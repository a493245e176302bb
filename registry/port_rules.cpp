// Which ports a process gets on its node.
#include "core/chosen_ports.h"
#include "registry/rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <vector>

namespace p2prc::registry::rules {
namespace {

constexpr std::uint32_t chosen_count = last_chosen_port - first_chosen_port + 1;

// What a member could use to stand in for a service of the machine. docs/process-file.md and
// p2prc-process(5) name them.
constexpr std::array<std::uint16_t, 4> owner_ports{22, 53, 80, 443};
// What the edge holds on the root node.
constexpr std::array<std::uint16_t, 2> edge_ports{80, 443};

// The same on every machine and in every version (FNV-1a), so that a process of the same name tends to get
// the same port again.
std::uint32_t spread(std::string_view name) {
    std::uint32_t hash = 2166136261u;
    for (const char c : name)
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    return hash;
}

// The ports of all other processes of the node, with their holders.
std::map<std::uint16_t, std::string> ports_of_others(const Draft& draft, std::string_view node,
                                                     std::string_view name) {
    auto taken = draft.ports_on(node);
    std::erase_if(taken, [&](const auto& holder) { return holder.second == name; });
    return taken;
}

// The key of the process file that a port stands in.
enum class PortKey { Port, Ports };

Result<void> check_fixed_port(const Draft& draft, std::string_view node, std::uint16_t number, bool owner,
                              const std::map<std::uint16_t, std::string>& taken, PortKey key) {
    const bool further = key == PortKey::Ports;
    const auto port = fmt::format("port {}{}", number, further ? " (in `ports`)" : "");
    // `ports` are fixed: none of them is chosen.
    const auto another =
        fmt::format("choose another port{}", further ? "" : ", or port = 0 to have one chosen");
    if (!owner && std::ranges::find(owner_ports, number) != owner_ports.end()) {
        std::vector<std::uint16_t> others;
        std::ranges::copy_if(owner_ports, std::back_inserter(others),
                             [&](std::uint16_t each) { return each != number; });
        return fail(ErrorCode::NotPermitted,
                    fmt::format("{} is reserved for the owners of the fleet, as are ports {} and {}", port,
                                fmt::join(others.begin(), others.end() - 1, ", "), others.back()),
                    another + "; or spin it from a node with the role owner");
    }
    const auto fleet = draft.fleet();
    if (fleet && !fleet->zone.empty() && fleet->root == node &&
        std::ranges::find(edge_ports, number) != edge_ports.end())
        return fail(
            ErrorCode::PortTaken,
            fmt::format("{} on node '{}' is in use by p2prc-edge, the fleet's public side", port, node),
            another + "; visitors connect to port 443 all the same");
    if (const auto holder = taken.find(number); holder != taken.end())
        return fail(ErrorCode::PortTaken,
                    fmt::format("{} on node '{}' is taken by process '{}'", port, node, holder->second),
                    fmt::format("{}; or remove that process: p2prc kill {}", another, holder->second));
    return {};
}

} // namespace

Result<void> check_further_ports(const Draft& draft, std::string_view node, std::string_view name,
                                 std::span<const std::uint16_t> ports, bool owner) {
    if (ports.empty()) return {};
    const auto taken = ports_of_others(draft, node, name);
    for (const auto port : ports)
        if (auto free = check_fixed_port(draft, node, port, owner, taken, PortKey::Ports); !free) return free;
    return {};
}

Result<std::optional<std::uint16_t>> bind_port(const Draft& draft, std::string_view node,
                                               std::string_view name, std::optional<std::uint16_t> wanted,
                                               bool owner, const std::set<std::uint16_t>& in_use) {
    if (!wanted) return std::optional<std::uint16_t>();
    const auto taken = ports_of_others(draft, node, name);
    if (*wanted == 0) {
        const auto begin = spread(name) % chosen_count;
        for (std::uint32_t i = 0; i < chosen_count; ++i) {
            const auto port = static_cast<std::uint16_t>(first_chosen_port + (begin + i) % chosen_count);
            if (!taken.contains(port) && !in_use.contains(port)) return std::optional(port);
        }
        return fail(ErrorCode::PortTaken,
                    fmt::format("all ports from {} to {} on node '{}' are taken", first_chosen_port,
                                last_chosen_port, node),
                    "give a port in the process file, or kill a process there");
    }
    if (auto free = check_fixed_port(draft, node, *wanted, owner, taken, PortKey::Port); !free)
        return std::unexpected(free.error());
    return wanted;
}

} // namespace p2prc::registry::rules
