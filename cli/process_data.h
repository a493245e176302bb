// What people are told of a process that was spun, stopped or killed: its addresses, its data.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace p2prc::cli {

class Daemon;

// Of all domains that are mapped to the process; the one that was asked for comes first.
std::vector<std::string> web_addresses(const nlohmann::json& process, const std::string& asked);

// What a kill or a stop has come to where the process's node does not answer: whether it ended there is not
// known.
std::string removed_unheard_words(const std::string& name, const std::string& node);
std::string stop_unheard_words(const std::string& name, const std::string& node);

// What follows "killed 'NAME' on NODE": where its data is. Empty for a process of this machine without data.
std::string kept_data_words(Daemon& daemon, const nlohmann::json& process);

// What becomes of the copy of its data that the last update has made, where a rollback to the revision, 0: to
// the last good one, makes another. Empty: nothing. `history` is that of ProcessHistory.
std::string replaced_copy_words(const nlohmann::json& process, const nlohmann::json& history,
                                std::uint32_t revision);

// What CleanDeployments has done.
std::string cleaned_words(const nlohmann::json& cleaned);

// On this machine, the data directories of earlier processes of that name. A spin moves one there when the
// name has another process now.
std::set<std::string> former_data(const std::string& name);
// That the data is in `path` now, and how to use it again; nothing where that directory is empty.
std::vector<std::string> former_data_lines(const std::string& name, const std::string& path);
// Prints these lines for each directory that is not among `before`.
void note_former_data(const std::string& name, const std::set<std::string>& before);

} // namespace p2prc::cli
