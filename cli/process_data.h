// What becomes of a process's data directory when it is killed, or when another process takes its name.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <set>
#include <string>

namespace p2prc::cli {

class Daemon;

// What follows "killed 'NAME' on NODE": where its data is. Empty for a process of this machine without data.
std::string kept_data_words(Daemon& daemon, const nlohmann::json& process);

// On this machine, the data directories of earlier processes of that name. A spin that adds one has put it
// aside.
std::set<std::string> former_data(const std::string& name);
// Names those that are not among `before`, and how to use their data again.
void note_former_data(const std::string& name, const std::set<std::string>& before);

} // namespace p2prc::cli
