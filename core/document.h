// Documents that people write: TOML with the place of each key, and the strict checks with their messages.
#pragma once

#include "core/error.h"
#include "core/fields.h"
#include "core/process_spec.h"

#include <nlohmann/json.hpp>

#include <map>
#include <span>
#include <string>
#include <string_view>

namespace p2prc {

// A TOML text as JSON. Dates and times are refused: no key of ours takes one.
struct TomlDocument {
    nlohmann::json document;
    std::map<std::string, std::string> places; // key path ("run.command", "route[0].to") -> "file:line"

    // Finds a key's place; a key that is not there has its table's.
    Locate locate() const;
};

// InvalidSpec with file and line when it is not TOML, or nested deeper than any of ours.
Result<TomlDocument> parse_toml(std::string_view text, std::string_view file);

// An InvalidSpec that starts with the place and the key: "calendar.toml:3: run.comand: WHY".
Error bad_key(const Locate& locate, std::string_view key, std::string_view why, std::string hint = {},
              ErrorCode code = ErrorCode::InvalidSpec);

// Refuses a key of `table` that is not in `known`, naming the nearest one of those that are offered: all of
// `known` without a list of its own. `path` is the table's own key path.
Result<void> check_known_keys(const nlohmann::json& table, std::string_view path,
                              std::span<const std::string_view> known, const Locate& locate,
                              std::span<const std::string_view> offered = {});

// Refuses a value that is not of `type`, saying what was wanted and what was found.
Result<void> check_type(const nlohmann::json& value, FieldType type, std::string_view key,
                        const Locate& locate);

} // namespace p2prc
