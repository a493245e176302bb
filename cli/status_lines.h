// The screen of `p2prc status`, made of the document that p2prcd answers.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace p2prc::cli {

// One line each: the node and its fleet, how many of each kind are in which state, then the problems.
std::vector<std::string> status_lines(const nlohmann::json& status);

// Whether the problem is one that something is down for, and not a note.
bool is_down(const nlohmann::json& problem);

// ["process web", "process wiki", "domain web.home.example"] -> "process web, wiki; domain web.home.example"
std::string by_kind(const std::vector<std::string>& subjects);

} // namespace p2prc::cli
