// The custom information that people store about nodes and processes.
#pragma once

#include "cli/output.h"
#include "core/error.h"
#include "core/labels.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace p2prc::cli {

// A JSON object of texts from a file, or from standard input if it is "-".
Result<Custom> read_custom(const std::string& file);

// One line for each text of a process or node.
void add_custom(Table& table, const nlohmann::json& subject);

} // namespace p2prc::cli
