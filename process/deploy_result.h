// What a deployer says of its result, in the file .p2prc of its directory.
//
// Pure: text in, values out. Fuzzed, as the deployer may run a script of another node.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

inline constexpr std::string_view deploy_result_file = ".p2prc";
inline constexpr std::size_t longest_deploy_result = std::size_t{64} << 10U;
inline constexpr std::size_t most_volumes = 32;

struct DeployResult {
    std::string directory;                          // DIR: what the process is shown; empty: all
    std::string root;                               // ROOT: what the process has for "/"; empty: the node's
    std::string container;                          // CONTAINER: the id of podman's image; empty: none
    std::vector<std::string> volumes;               // VOLUME: directories of these that are kept as data
    std::string work_directory;                     // WORKDIR, within ROOT or DIR; empty: as without
    std::vector<std::string> command;               // COMMAND, a list in JSON; empty: that of the file
    std::map<std::string, std::string> environment; // ENV.NAME
    std::string resolved;                           // RESOLVED: what a floating name came to
    std::string note;                               // NOTE, for people
    friend bool operator==(const DeployResult&, const DeployResult&) = default;
};

// Lines KEY=VALUE; each key but VOLUME once, and none but those above. Paths are relative and have no "..".
// InvalidSpec names the line.
Result<DeployResult> read_deploy_result(std::string_view text);

} // namespace p2prc::process
