// Deployers: programs of the machine's administrator that prepare what a process needs. This finds one and
// checks it.
#pragma once

#include "core/deployer_class.h"
#include "core/deployer_report.h"
#include "core/error.h"
#include "core/remote_spin.h"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// As NAME.toml beside it says, or by default.
struct Deployer {
    std::string name;
    std::filesystem::path program;
    DeployerClass as = DeployerClass::Process;
    bool network = true;
    std::vector<std::string> groups; // further ones of its user
    std::vector<std::string> needs;  // programs, by absolute paths
    std::chrono::seconds timeout{15 * 60};
    friend bool operator==(const Deployer&, const Deployer&) = default;
};

inline constexpr std::chrono::seconds longest_deployer_timeout{6 * 60 * 60};

// Those of the administrator, which win, then those of p2prc.
std::vector<std::filesystem::path> deployer_directories();

// Whether the program `name` in `directory` is a plain file that can be executed, and nobody but `owner`
// could change either: NotPermitted says what to do.
Result<void> check_program(const std::filesystem::path& directory, std::string_view name, uid_t owner);

// Looked up anew each time: it is a file that somebody edits. NotFound where none of the directories has it;
// NotPermitted where somebody else than `owner` could change it; InvalidSpec where its NAME.toml is wrong.
Result<Deployer> find_deployer(std::span<const std::filesystem::path> directories, std::string_view name,
                               uid_t owner = 0);

// Which of its needs are not on this machine.
std::vector<std::string> missing_needs(const Deployer& deployer);
// The same as NoSuitableNode, with what to do about it.
Result<void> check_needs(const Deployer& deployer);

// All that the directories have, by name, as it is told to other nodes.
std::vector<DeployerReport> report_deployers(std::span<const std::filesystem::path> directories,
                                             RemoteSpin policy, std::span<const std::string> admitted,
                                             uid_t owner = 0);

} // namespace p2prc::process
