#include "process/supervisor_state.h"

#include <array>

namespace p2prc::process {

namespace {

using State = SupervisorState;
using Event = SupervisorEvent;

struct Transition {
    State from;
    Event event;
    State to;
};

constexpr std::array transitions{
    Transition{State::Absent, Event::StartOrdered, State::Preparing},
    Transition{State::Absent, Event::Executed, State::Starting}, // found running
    Transition{State::Absent, Event::Deactivating, State::Stopping},
    Transition{State::Absent, Event::StopOrdered, State::Stopping},
    Transition{State::Absent, Event::NotRunning, State::Ended},
    Transition{State::Absent, Event::Forgotten, State::Absent},
    Transition{State::Absent, Event::EpochPassed, State::Fenced},
    Transition{State::Absent, Event::Held, State::Paused},

    Transition{State::Preparing, Event::StartOrdered, State::Preparing}, // tried again
    Transition{State::Preparing, Event::Refused, State::Ended},
    Transition{State::Preparing, Event::Launched, State::Starting},
    Transition{State::Preparing, Event::Executed, State::Starting}, // an earlier p2prcd had started it
    Transition{State::Preparing, Event::NotRunning, State::Ended},
    Transition{State::Preparing, Event::EpochPassed, State::Fenced},

    Transition{State::Starting, Event::Executed, State::Starting},
    Transition{State::Starting, Event::BecameReady, State::Ready},
    Transition{State::Starting, Event::Refused, State::Ended}, // by systemd
    Transition{State::Starting, Event::StopOrdered, State::Stopping},
    Transition{State::Starting, Event::Deactivating, State::Stopping},
    Transition{State::Starting, Event::NotRunning, State::Ended},
    Transition{State::Starting, Event::Forgotten, State::Absent},
    Transition{State::Starting, Event::Held, State::Paused}, // it runs, and is not ready

    Transition{State::Ready, Event::Executed, State::Starting}, // another run of it
    Transition{State::Ready, Event::StopOrdered, State::Stopping},
    Transition{State::Ready, Event::Deactivating, State::Stopping},
    Transition{State::Ready, Event::NotRunning, State::Ended},
    Transition{State::Ready, Event::Forgotten, State::Absent},
    Transition{State::Ready, Event::Held, State::Paused},

    Transition{State::Stopping, Event::Executed, State::Starting},
    Transition{State::Stopping, Event::StopOrdered, State::Stopping},
    Transition{State::Stopping, Event::Deactivating, State::Stopping},
    Transition{State::Stopping, Event::NotRunning, State::Ended},
    Transition{State::Stopping, Event::Forgotten, State::Absent},

    Transition{State::Ended, Event::StartOrdered, State::Preparing},
    Transition{State::Ended, Event::Executed, State::Starting},
    Transition{State::Ended, Event::Deactivating, State::Stopping},
    Transition{State::Ended, Event::StopOrdered, State::Stopping},
    Transition{State::Ended, Event::NotRunning, State::Ended},
    Transition{State::Ended, Event::Forgotten, State::Absent},
    Transition{State::Ended, Event::EpochPassed, State::Fenced},
    Transition{State::Ended, Event::HeldForMove, State::Moving},
    Transition{State::Ended, Event::Held, State::Paused},

    // Nothing starts it but a record of a later epoch. What runs all the same is stopped.
    Transition{State::Fenced, Event::EpochGranted, State::Ended},
    Transition{State::Fenced, Event::Executed, State::Starting},
    Transition{State::Fenced, Event::EpochPassed, State::Fenced},
    Transition{State::Fenced, Event::NotRunning, State::Fenced},
    Transition{State::Fenced, Event::Forgotten, State::Absent},

    Transition{State::Moving, Event::StartOrdered, State::Preparing}, // the move came to nothing
    Transition{State::Moving, Event::EpochPassed, State::Fenced},     // it is another node's now
    Transition{State::Moving, Event::NotRunning, State::Ended},

    // It goes on where it was, or is started; and it may be stopped, or end, all the same.
    Transition{State::Paused, Event::StartOrdered, State::Preparing},
    Transition{State::Paused, Event::Executed, State::Starting},
    Transition{State::Paused, Event::StopOrdered, State::Stopping},
    Transition{State::Paused, Event::Deactivating, State::Stopping},
    Transition{State::Paused, Event::NotRunning, State::Ended},
    Transition{State::Paused, Event::Forgotten, State::Absent},
    Transition{State::Paused, Event::EpochPassed, State::Fenced},
    Transition{State::Paused, Event::Held, State::Paused},
};

} // namespace

std::optional<SupervisorState> next(SupervisorState from, SupervisorEvent event) noexcept {
    for (const auto& transition : transitions)
        if (transition.from == from && transition.event == event) return transition.to;
    return std::nullopt;
}

std::string_view name_of(SupervisorState state) noexcept {
    switch (state) {
    case State::Absent:
        return "absent";
    case State::Preparing:
        return "preparing";
    case State::Starting:
        return "starting";
    case State::Ready:
        return "ready";
    case State::Stopping:
        return "stopping";
    case State::Ended:
        return "ended";
    case State::Fenced:
        return "fenced";
    case State::Moving:
        return "moving";
    case State::Paused:
        return "paused";
    }
    return "";
}

std::string_view name_of(SupervisorEvent event) noexcept {
    switch (event) {
    case Event::StartOrdered:
        return "start ordered";
    case Event::Refused:
        return "refused";
    case Event::Launched:
        return "launched";
    case Event::Executed:
        return "executed";
    case Event::BecameReady:
        return "became ready";
    case Event::StopOrdered:
        return "stop ordered";
    case Event::Deactivating:
        return "deactivating";
    case Event::NotRunning:
        return "not running";
    case Event::Forgotten:
        return "forgotten";
    case Event::EpochPassed:
        return "epoch passed";
    case Event::EpochGranted:
        return "epoch granted";
    case Event::HeldForMove:
        return "held for move";
    case Event::Held:
        return "held";
    }
    return "";
}

ProcessState reported_state(SupervisorState state) noexcept {
    switch (state) {
    case State::Preparing:
    case State::Starting:
        return ProcessState::Starting;
    case State::Ready:
        return ProcessState::Running;
    case State::Stopping:
    case State::Moving:
        return ProcessState::Stopping;
    case State::Paused:
        return ProcessState::Paused;
    case State::Absent:
    case State::Ended:
    case State::Fenced:
        break;
    }
    return ProcessState::Stopped;
}

} // namespace p2prc::process
