// What a user of a node asked of a process that runs there while the registry was away, and how its record
// takes it in: /local/<node>/<id>.
#pragma once

#include "core/records.h"

#include <cstdint>
#include <string>

namespace p2prc {

struct LocalAction {
    std::uint32_t id = 0;       // of the process
    std::string action;         // "start", "stop", "restart", "kill"
    std::uint64_t sequence = 0; // each action on a process counts one up; only the last one is kept
    std::string by = {};
    std::string at = {}; // RFC 3339

    bool is_kill() const noexcept { return action == "kill"; }
    // What is wanted of the process from then on.
    Desired desired() const noexcept {
        return action == "stop" || is_kill() ? Desired::Stopped : Desired::Running;
    }
};

nlohmann::json to_json(const LocalAction& action);
LocalAction local_action_from_json(const nlohmann::json& document); // tolerant

// The sequence of the last local action that the registry has taken into the record.
std::uint64_t folded_sequence(const ProcessRecord& record);
void set_folded_sequence(ProcessRecord& record, std::uint64_t sequence);
bool taken_in(const ProcessRecord& record, const LocalAction& action);

// The record's change number once the action is taken in: each action up to it has counted as a change.
std::uint64_t change_with(const ProcessRecord& record, const LocalAction& action);

} // namespace p2prc
