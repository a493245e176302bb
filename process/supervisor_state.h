// What a process is on its node, and how that changes: a table of states, events, and which event leads from
// which state to which.
//
// Pure: ProcessSupervisor does the work, and tells what came of it. Only what systemd or the records show,
// and what the supervisor itself begins, are events. plan() decides which work is begun.
#pragma once

#include "core/process_status.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace p2prc::process {

enum class SupervisorState : std::uint8_t {
    Absent,    // nothing of it is here
    Preparing, // it is to start: whether it may, its ports and its data come first
    Starting,  // systemd was told to start it, or starts it again by itself
    Ready,     // it runs, and does what it is for
    Stopping,  // it is being stopped
    Ended,     // it does not run, and its status says why
    Fenced,    // a later epoch is another node's: it does not start here
    Moving,    // it is stopped here so that its data can go to another node
    Paused,    // the owner of this machine has paused it: it is frozen, or it is not started
};

enum class SupervisorEvent : std::uint8_t {
    StartOrdered, // a start begins
    Refused,      // it could not even be tried
    Launched,     // systemd has been asked to start it
    Executed,     // its command is executed, or systemd is about to, by itself
    BecameReady,
    StopOrdered,  // systemd is asked to stop it
    Deactivating, // systemd stops it, whoever asked for that
    NotRunning,   // it has ended, or was found not to run
    Forgotten,    // nobody waits for its end any more
    EpochPassed,  // the agreed record names another node with a later epoch
    EpochGranted, // the agreed record names this node with a later epoch than the one that fenced it
    HeldForMove,  // it has ended so that it can be moved
    Held,         // it is frozen, or was found not to run, while it is paused
};

// Nothing: the event has no place there.
std::optional<SupervisorState> next(SupervisorState from, SupervisorEvent event) noexcept;
std::string_view name_of(SupervisorState state) noexcept;
std::string_view name_of(SupervisorEvent event) noexcept;

// What others are told while it is neither absent nor over: those states are told by the reason of the stop.
ProcessState reported_state(SupervisorState state) noexcept;

} // namespace p2prc::process
