// What the other unit of a process is while one of its two units serves: a table of states, events, and which
// event leads from which state to which.
//
// Pure, as process/supervisor_state.h, which is about the unit that serves.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace p2prc::process {

enum class BesideState : std::uint8_t {
    None,      // it is not there
    Preparing, // the next revision is to start as it
    Starting,  // the next revision runs, and is not ready yet
    Proving,   // the next revision is ready, and has to stay up
    Draining,  // it does not serve any more, and ends the connections that it has
    Stopping,  // it is being stopped
};

enum class BesideEvent : std::uint8_t {
    Ordered,     // an update begins
    Refused,     // the next revision could not even be tried
    Launched,    // systemd has started the next revision
    BecameReady, // the next revision is ready
    Proved,      // it has stayed up: the two units have changed places
    Found,       // an earlier p2prcd has left it behind: it does not serve
    StopOrdered, // it failed, or is not wanted any more, or its connections have ended or had their time
    Gone,        // it does not run
};

// Nothing: the event has no place there.
std::optional<BesideState> next(BesideState from, BesideEvent event) noexcept;
std::string_view name_of(BesideState state) noexcept;
std::string_view name_of(BesideEvent event) noexcept;

// An update is under way in it.
constexpr bool is_successor(BesideState state) noexcept {
    return state == BesideState::Preparing || state == BesideState::Starting || state == BesideState::Proving;
}

} // namespace p2prc::process
