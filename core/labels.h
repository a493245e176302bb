// Labels of nodes, which people choose and process files ask for, and custom information about nodes and
// processes.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace p2prc {

using Labels = std::map<std::string, std::string, std::less<>>; // by key; the value may be empty
using Custom = std::map<std::string, std::string, std::less<>>;

inline constexpr std::size_t most_labels = 64;      // of one node
inline constexpr std::size_t largest_custom = 4096; // bytes, as JSON

// "KEY" or "KEY=VALUE". A key has 1-63 letters, digits, '-', '_' and '.', and begins and ends with a letter
// or a digit; so has a value, which may be empty. Nothing in it needs quotes in a shell, and a '-' at the end
// can say that a label is to go.
Result<std::pair<std::string, std::string>> parse_label(std::string_view text);
std::string label_text(std::string_view key, std::string_view value);
// Whether a node with these labels has `wanted`: "KEY" whatever its value, "KEY=VALUE" with that one.
bool has_label(const Labels& labels, std::string_view wanted);

// Whether it may be stored: names of 1-63 bytes, text that a terminal and the bus can show, and all of it not
// larger than the limit.
Result<void> check_custom(const Custom& custom);

// What somebody wants to have stored; the message says what is wrong with it.
Result<Custom> parse_custom(const nlohmann::json& document);

// As they are stored. Tolerant: what does not have the form of a label, or is too much, is left out, so that
// nothing else can come from another node's word.
Labels labels_from_json(const nlohmann::json& document);
Custom custom_from_json(const nlohmann::json& document);

} // namespace p2prc
