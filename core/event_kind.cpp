#include "core/event_kind.h"

#include <array>

namespace p2prc {
namespace {

constexpr std::array event_kinds{
    EventKindInfo{EventKind::ProcessRunning, "process-running", "It was started, for whatever reason."},
    EventKindInfo{EventKind::ProcessStopped, "process-stopped",
                  "It stopped; `reason` says why. It may be started again at once."},
    EventKindInfo{EventKind::ProcessFailed, "process-failed",
                  "It stopped, or could not be started, and that is a failure; `reason` says why."},
    EventKindInfo{EventKind::ProcessKilled, "process-killed", "It was killed and forgotten."},
    EventKindInfo{EventKind::NodeJoined, "node-joined", "It joined the fleet."},
    EventKindInfo{EventKind::NodeRemoved, "node-removed",
                  "It left the fleet, or was removed, with all that ran there."},
    EventKindInfo{EventKind::NodeLost, "node-lost", "The root does not hear of it any more."},
    EventKindInfo{EventKind::NodeBack, "node-back", "It was lost, and the root hears of it again."},
    EventKindInfo{EventKind::DomainLive, "domain-live", "Visitors are served."},
    EventKindInfo{EventKind::DomainDown, "domain-down",
                  "Visitors are not served any more: the domain failed, or has waited for 20 seconds."},
    EventKindInfo{EventKind::EdgeUp, "edge-up", "The fleet's edge runs again."},
    EventKindInfo{EventKind::EdgeDown, "edge-down", "The fleet's edge has not run for 20 seconds."},
};

} // namespace

std::span<const EventKindInfo> event_kind_table() noexcept {
    return event_kinds;
}

std::string_view event_kind_name(EventKind kind) noexcept {
    for (const auto& row : event_kinds)
        if (row.kind == kind) return row.name;
    return "";
}

} // namespace p2prc
