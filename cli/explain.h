// What a spin and the draining of a node would do.
#pragma once

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/process_spec.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace p2prc::cli {

// One line a node; `rows` are those of ExplainPlacement.
Table placement_table(const nlohmann::json& rows);

// What is said where no node is chosen. `node`: the one that was asked for; empty: none was.
std::string unplaced_words(const std::string& process, const std::string& node, const nlohmann::json& rows);

// Prints what p2prcd says that a spin would do. The exit status is 1 where it would find no node.
Result<int> explain_spin(const ProcessSpec& spec, const std::string& node, const Context& context);

// What changes at one key: "port: 80 -> 81", and of texts the lines that differ.
std::vector<std::string> change_lines(const nlohmann::json& change);

// Says which revision the process becomes, and what changes; `explanation` is that of ExplainSpin.
void note_update(const ProcessSpec& spec, const nlohmann::json& explanation);

// One line a process; `rows` are those of DrainNode.
Table drained_table(const nlohmann::json& rows);

// Drains a node and prints what became of its processes, or with `dry_run` what would. The exit status is 1
// if something stays. `deadline`: for how long to try, such as "30m"; empty: once.
Result<int> drain_node(const std::string& name, bool dry_run, const std::string& deadline,
                       const Context& context);

} // namespace p2prc::cli
