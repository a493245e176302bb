// Rows of the registry whose documents cannot be read, in a database whose pages are sound: found, replaced
// by a copy where there is one, and set aside.
#pragma once

#include "core/error.h"
#include "store/store.h"

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::registry {

struct DamagedRow {
    std::string table;
    std::string key;
    std::string text; // what stands there
};

// Whether `value`, as it was parsed without exceptions, is JSON of the kind that its key has and, where that
// is a record, the one that the key names.
bool is_readable(std::string_view table, std::string_view key, const nlohmann::json& value);

// Notes them in a file beside the database (`registry.rows.damaged-DATE`), then puts documents of `copy` in
// their place, or deletes them where it has none.
Result<void> set_aside_rows(store::Store& store, const std::string& file, const std::vector<DamagedRow>& rows,
                            const std::map<std::string, std::string>& copy);

// What a file of rows that were set aside says of them, for a message.
std::string describe_damaged_rows(const std::string& noted);

} // namespace p2prc::registry
