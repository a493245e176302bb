// Why a process stopped: a closed set of kinds, so that rules can act on it.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

enum class StopKind {
    Finished,       // exit status 0, by itself
    Killed,         // `by` had it stopped and its record removed
    Stopped,        // `by` stopped it, the record stays
    StoppedOutside, // systemctl, not p2prc
    ExitCode,       // `code`
    Signal,         // `signal`
    CoreDump,       // `signal`
    OomKill,
    Timeout, // `step`: start, stop, runtime
    Watchdog,
    StartFailed, // `code` is systemd's (203, 217, 226, ...), `step` its name
    StartLimit,
    DeployFailed, // `step`
    Resources,
    Protocol,
    NotReady,     // `step`: port, http, notify, command; `detail` is the last answer
    Unhealthy,    // the same
    Paused,       // `by` froze it or stopped it for a while, on its own machine
    UpdateFailed, // a later revision was not kept; `detail` says why
    Shutdown,     // the machine was shut down in order
    PowerLoss,    // the boot id changed without a shutdown
    NodeLost,
    Moved,  // `detail` is the node
    Fenced, // `epoch`
    Unknown,
};

struct StopReason {
    StopKind kind = StopKind::Unknown;
    std::optional<int> code;
    std::string signal; // "SIGSEGV"
    std::string step;
    std::optional<StopKind> cause = {}; // of StartLimit: how it ended the last time
    std::string by;
    std::string owner = {}; // of Paused: the node all of whose processes are; empty: this one alone
    std::string node;
    std::uint64_t epoch = 0;
    std::string detail;
    std::vector<std::string> log; // last journal lines, oldest first
    std::string at;               // RFC 3339, UTC
    friend bool operator==(const StopReason&, const StopReason&) = default;
};

struct StopKindInfo {
    StopKind kind;
    std::string_view name; // "oom-kill": in JSON and on D-Bus
    std::string_view description;
};
std::span<const StopKindInfo> stop_kind_table() noexcept;
std::string_view stop_kind_name(StopKind kind) noexcept;
// p2prcd starts what ended like this again after a pause, for as long as it is wanted, unless its file says
// restart = "no".
bool is_tried_again(StopKind kind) noexcept;
StopKind stop_kind_from_name(std::string_view name) noexcept; // Unknown for names of a later version

nlohmann::json reason_to_json(const StopReason& reason); // absent members are null
StopReason reason_from_json(const nlohmann::json& document);

// One line for people: "exit-code 1 (on home1, 10:04:05)". Of a power loss it says "after" or "before" the
// time: the machine noted none.
std::string reason_text(const StopReason& reason);

// The commands to type about a process that stopped for `reason`: what prints its log, which is its
// deployer's where that has failed, and what ends its pause.
std::string logs_command(std::string_view process, const StopReason& reason);
std::string resume_command(std::string_view process, const StopReason& reason);

} // namespace p2prc
