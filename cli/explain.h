// What a spin would do: the dry run.
#pragma once

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/process_spec.h"

#include <nlohmann/json_fwd.hpp>

namespace p2prc::cli {

// One line a node; `rows` are those of ExplainPlacement.
Table placement_table(const nlohmann::json& rows);

// Prints what p2prcd says that a spin would do. The exit status is 1 where it would find no node.
Result<int> explain_spin(const ProcessSpec& spec, const std::string& node, const Context& context);

} // namespace p2prc::cli
