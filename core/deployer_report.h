// What a node reports of its deployers in /info: which there are, what they lack there, and which of them it
// runs for other nodes.
#pragma once

#include "core/deployer_class.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// The report is fed to every node. What is beyond these is not in it, and is not read from that of another
// node.
inline constexpr std::size_t most_reported_deployers = 32;
inline constexpr std::size_t most_reported_needs = 8; // of one deployer

struct DeployerReport {
    std::string name;
    DeployerClass as = DeployerClass::Process;
    bool admitted = false;            // for processes of other nodes
    std::vector<std::string> missing; // programs that it needs and that are not there
    std::string problem;              // why it is not run at all; empty: it is
    friend bool operator==(const DeployerReport&, const DeployerReport&) = default;
};

// The value of `deployers`: a list of tables.
nlohmann::json deployers_to_json(std::span<const DeployerReport> deployers);
// Of what a node reports of itself. Tolerant: what has no valid name is left out, and a class that this
// version does not know is Root, the strictest. Nothing: it has not reported its deployers.
std::optional<std::vector<DeployerReport>> deployers_from_info(const nlohmann::json& info);

// For whoever has named a deployer that a node does not have: what it has, "did you mean 'git'? it has git,
// script".
std::string instead_of_deployer(std::string_view name, std::span<const std::string> known);

// What to do about programs that are missing. Names the packages of Debian for those that p2prc's own
// deployers need.
std::string how_to_install(std::span<const std::string> programs);

} // namespace p2prc
