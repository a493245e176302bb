// Writes JSON into a D-Bus message by a given signature: how properties of units reach systemd.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <string_view>

struct sd_bus_message;

namespace p2prc::process {

// Appends `value` as one complete type. Knows s, o, b, q, u, i, t, arrays (`ay` from a string) and
// structures; a value that does not fit the signature is InvalidSpec.
Result<void> append_json(sd_bus_message* message, std::string_view signature, const nlohmann::json& value);

} // namespace p2prc::process
