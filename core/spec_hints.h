// What to do about a key of a process file that is in the wrong place, or has a value of the wrong type.
#pragma once

#include "core/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace p2prc {

// Of a key that is known in another place: what is meant.
std::string hint_for_place(std::string_view path, std::string_view key);

// How to write a value that has another type.
std::string type_hint(const Field& field, const nlohmann::json& value);

} // namespace p2prc
