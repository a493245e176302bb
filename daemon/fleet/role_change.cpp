#include "daemon/fleet/role_change.h"

#include <fmt/format.h>

#include <array>

namespace p2prc::daemon {

namespace {

using State = RoleState;
using Event = RoleEvent;

struct Transition {
    RoleState from;
    RoleEvent event;
    RoleState to;
};

constexpr std::array transitions{
    Transition{State::Starting, Event::RegistryOpened, State::Root},
    Transition{State::Starting, Event::RegistryLost, State::NoRegistry},
    Transition{State::Starting, Event::Belongs, State::Member},
    Transition{State::Starting, Event::Unanswered, State::LeavePending},
    Transition{State::Starting, Event::Released, State::Returning},

    Transition{State::Root, Event::Init, State::Initialising},
    Transition{State::Initialising, Event::RegistryKept, State::Root},

    Transition{State::Root, Event::Join, State::Joining},
    Transition{State::Joining, Event::RegistryKept, State::Root},
    Transition{State::Joining, Event::Admitted, State::Connecting},
    Transition{State::Member, Event::Rejoin, State::Connecting},
    Transition{State::LeavePending, Event::Rejoin, State::Connecting},
    Transition{State::Connecting, Event::Belongs, State::Member},
    Transition{State::Connecting, Event::Unanswered, State::LeavePending},

    Transition{State::Member, Event::Leave, State::Leaving},
    Transition{State::LeavePending, Event::Leave, State::Leaving},
    Transition{State::Leaving, Event::Belongs, State::Member},
    Transition{State::Leaving, Event::Unanswered, State::LeavePending},
    Transition{State::Leaving, Event::Released, State::Returning},
    Transition{State::LeavePending, Event::Belongs, State::Member},
    Transition{State::LeavePending, Event::Released, State::Returning},

    Transition{State::Returning, Event::RegistryOpened, State::Root},
    Transition{State::Returning, Event::RegistryLost, State::NoRegistry},
    Transition{State::Returning, Event::Unanswered, State::LeavePending},
};

} // namespace

std::optional<RoleState> next(RoleState from, RoleEvent event) noexcept {
    if (event == Event::Stop) return State::Stopped;
    for (const auto& transition : transitions)
        if (transition.from == from && transition.event == event) return transition.to;
    return std::nullopt;
}

std::string_view name_of(RoleState state) noexcept {
    switch (state) {
    case State::Starting:
        return "starting";
    case State::Root:
        return "root";
    case State::NoRegistry:
        return "no registry";
    case State::Initialising:
        return "initialising";
    case State::Joining:
        return "joining";
    case State::Connecting:
        return "connecting";
    case State::Member:
        return "member";
    case State::Leaving:
        return "leaving";
    case State::LeavePending:
        return "leave pending";
    case State::Returning:
        return "returning";
    case State::Stopped:
        break;
    }
    return "stopped";
}

std::string_view name_of(RoleEvent event) noexcept {
    switch (event) {
    case Event::Init:
        return "init";
    case Event::Join:
        return "join";
    case Event::Rejoin:
        return "rejoin";
    case Event::Leave:
        return "leave";
    case Event::RegistryOpened:
        return "registry opened";
    case Event::RegistryKept:
        return "registry kept";
    case Event::RegistryLost:
        return "registry lost";
    case Event::Admitted:
        return "admitted";
    case Event::Belongs:
        return "belongs";
    case Event::Unanswered:
        return "unanswered";
    case Event::Released:
        return "released";
    case Event::Stop:
        break;
    }
    return "stop";
}

bool RoleChange::under_way() const noexcept {
    switch (state_) {
    case State::Starting:
    case State::Initialising:
    case State::Joining:
    case State::Connecting:
    case State::Leaving:
    case State::Returning:
        return true;
    case State::Root:
    case State::NoRegistry:
    case State::Member:
    case State::LeavePending:
    case State::Stopped:
        break;
    }
    return false;
}

bool RoleChange::between_registries() const noexcept {
    return is(State::Joining) || is(State::Leaving) || is(State::Returning);
}

Result<void> RoleChange::take(RoleEvent event) {
    if (const auto to = next(state_, event)) {
        state_ = *to;
        return {};
    }
    if (stopped()) return std::unexpected(p2prcd_is_stopping());
    if (under_way()) return std::unexpected(role_is_changing());
    return fail(ErrorCode::Failed,
                fmt::format("'{}' has no place in the state '{}'", name_of(event), name_of(state_)));
}

Error role_is_changing() {
    return {ErrorCode::Conflict, "this machine is joining or leaving a fleet right now",
            "try again in a moment"};
}

Error p2prcd_is_stopping() {
    return {ErrorCode::Unreachable, "p2prcd is being stopped"};
}

} // namespace p2prc::daemon
