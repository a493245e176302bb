// Reads what systemd says about a unit's properties into a UnitView.
#pragma once

#include "core/error.h"
#include "process/systemd.h"

#include <nlohmann/json_fwd.hpp>

#include <string_view>
#include <vector>

struct sd_bus_message;

namespace p2prc::process {

// Facts about a unit that decide whether it is one of ours; they never change while it is loaded.
struct UnitOrigin {
    bool transient = false;
    std::string slice;
};

// Reads an `a{sv}` of properties of the interfaces Unit or Service and merges those that are known into
// `view` and, where given, `origin`. Properties that are not listed keep their value.
Result<void> read_unit_properties(sd_bus_message* message, UnitView& view, UnitOrigin* origin = nullptr);

// "FLEET_PROCESS=7" and the like.
void apply_journal_field(std::string_view field, UnitView& view);
// Reads a new unit's journal fields and BPF programs from the properties that it is started with.
void apply_properties(const std::vector<UnitProperty>& properties, UnitView& view);

} // namespace p2prc::process
