// The last stops of a process, as its node keeps them: the value of /stops/<node>/<process id>.
#pragma once

#include "core/stop_reason.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <vector>

namespace p2prc {

// So many are kept.
inline constexpr std::size_t most_stops = 10;

// What was kept, and `reason` as the latest, without its log; `before` may be null. A reason of the time of
// the latest says more of the same stop, and takes its place.
nlohmann::json with_stop(const nlohmann::json& before, StopReason reason);

// The latest first; what cannot be read is left out.
std::vector<StopReason> stops_from_json(const nlohmann::json& document);

} // namespace p2prc
