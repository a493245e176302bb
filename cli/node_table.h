// Nodes as people read them: a list, or one with all that is known of it.
#pragma once

#include "cli/output.h"
#include "core/error.h"

#include <nlohmann/json.hpp>

#include <string>

namespace p2prc::cli {

Table node_table(const nlohmann::json& nodes);
Table one_node_table(const nlohmann::json& node);

// NotFound names the one that is most like it.
Result<nlohmann::json> find_node(const nlohmann::json& nodes, const std::string& name);

} // namespace p2prc::cli
