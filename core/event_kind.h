// What can happen to a process, a node, a domain or the edge: a closed set of kinds, so that programs can act
// on it.
#pragma once

#include <span>
#include <string_view>

namespace p2prc {

enum class EventKind {
    ProcessRunning,
    ProcessStopped,
    ProcessFailed,
    ProcessKilled,
    NodeJoined,
    NodeRemoved,
    NodeLost,
    NodeBack,
    DomainLive,
    DomainDown,
    EdgeUp,
    EdgeDown,
};

struct EventKindInfo {
    EventKind kind;
    std::string_view name; // "process-failed": on D-Bus
    std::string_view description;
};
std::span<const EventKindInfo> event_kind_table() noexcept;
std::string_view event_kind_name(EventKind kind) noexcept;

} // namespace p2prc
