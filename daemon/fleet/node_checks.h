// Checks of this machine that no other node can make: disk, clock, settings, control groups, ports.
//
// What is found is part of /info/NODE, so that status and doctor show it on every node.
#pragma once

#include "core/machine_role.h"
#include "net/address.h"
#include "net/listeners.h"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

enum class CheckState { Ok, Warn, Fail };

struct NodeCheck {
    CheckState state = CheckState::Ok;
    // "disk", "clock", "settings", "memory limits", "ACME client", "edge role", "port 443", "public address"
    std::string subject;
    std::string detail;
    friend bool operator==(const NodeCheck&, const NodeCheck&) = default;
};

// What the checks need to know. What is empty or absent is not looked at.
struct CheckSubjects {
    std::filesystem::path state_directory;                // the disk of it
    std::optional<std::chrono::milliseconds> clock_ahead; // of the root's clock
    std::string settings_error;                           // why what their files say is not in force
    std::vector<std::string> limited;                     // processes here with limits.memory
    std::filesystem::path acme_client;                    // where domains here need one
    std::vector<MachineRole> roles_off;                   // that this node needs, and does not have
    bool public_side = false;                             // this node has the fleet's edge
    std::vector<std::string> public_ips;                  // of the edge
};

// A disk with so much room. The numbers are coarse, as each change of them goes to every node.
NodeCheck check_disk(std::uint64_t free_bytes, std::uint64_t all_bytes);
// `ahead`: by how much this clock is before the root's.
NodeCheck check_clock(std::chrono::milliseconds ahead);
// `memory`: whether limits.memory can be enforced here.
NodeCheck check_limits(const std::vector<std::string>& limited, bool memory);
// Who has the port, of all that listen; `unit_of` names the unit of a control group.
NodeCheck check_port(std::uint16_t port, const std::vector<net::Listener>& listeners,
                     const std::function<std::string(std::uint64_t cgroup)>& unit_of);
// `addresses`: of this machine's interfaces.
NodeCheck check_public_address(const std::vector<std::string>& public_ips,
                               const std::vector<net::Address>& addresses);

// All that `subjects` ask for.
std::vector<NodeCheck> check_node(const CheckSubjects& subjects);
// [{subject, state: "ok"|"warn"|"fail", detail}]
nlohmann::json to_json(const std::vector<NodeCheck>& checks);

} // namespace p2prc::daemon
