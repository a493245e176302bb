// The custom information that people store about nodes and processes.
#pragma once

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "core/labels.h"
#include "dbus/client.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace p2prc::cli {

using StoreCustom = boost::asio::awaitable<Result<void>> (dbus::Client::*)(std::string subject,
                                                                           nlohmann::json custom);
// The text of `file`, which messages name; they say in which line, or of which name, what is wrong.
Result<Custom> custom_from_text(const std::string& text, const std::string& file);

// Stores the JSON object of texts in a file, or on standard input if that is "-", and says so; `key` is that
// of the subject in JSON.
Result<int> store_custom(StoreCustom store, const char* key, const std::string& subject,
                         const std::string& file, const Context& context);

// One line for each text of a process or node.
void add_custom(Table& table, const nlohmann::json& subject);

} // namespace p2prc::cli
