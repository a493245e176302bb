// What a user of this node asked of a process that runs here while the registry was away: /local/<node>/<id>.
#pragma once

#include "core/json_members.h"
#include "core/records.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::daemon {

inline std::string local_action_key(std::string_view node, std::uint32_t id) {
    return "/local/" + std::string(node) + "/" + std::to_string(id);
}

// The last local action that the registry has taken into the record.
inline std::uint64_t folded_sequence(const ProcessRecord& record) {
    return json::member<std::uint64_t>(record.unknown, "local_sequence");
}

// The change number that the process's node reports as applied once local action `sequence` is done; the
// registry arrives at the same number when it folds the actions in.
inline std::uint64_t local_change(const ProcessRecord& record, std::uint64_t sequence) {
    return record.change + (sequence - folded_sequence(record));
}

} // namespace p2prc::daemon
