// Why a process stopped the last time, as far as it is known.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace p2prc::cli {

// For a table: the kind of stop; "-" for a process that has never stopped.
std::string last_stop_kind(const nlohmann::json& process);
// For one process alone: everything but the log.
std::string last_stop_text(const nlohmann::json& process);

} // namespace p2prc::cli
