// What a node knows about its membership before any store is open: its name and, for a member, its root.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

// The root of the fleet that this node is a member of.
struct RootReference {
    std::string key; // fingerprint of its p2prcd
    std::string zone;
    std::vector<net::Endpoint> addresses;
    friend bool operator==(const RootReference&, const RootReference&) = default;
};

struct FleetSettings {
    std::string name;                  // of this node
    std::optional<RootReference> root; // none: the registry is here
    friend bool operator==(const FleetSettings&, const FleetSettings&) = default;
};

// `file` is fleet.json. Without one: a node alone, named after `host_name` as far as that makes a node's
// name.
Result<FleetSettings> load_settings(const std::filesystem::path& file, const std::string& host_name);
Result<void> save_settings(const std::filesystem::path& file, const FleetSettings& settings);

// "My-Laptop.local" -> "my-laptop"; "node" when nothing usable is left.
std::string node_name_from_host(std::string_view host_name);

} // namespace p2prc::daemon
