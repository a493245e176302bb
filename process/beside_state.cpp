#include "process/beside_state.h"

#include <array>

namespace p2prc::process {

namespace {

struct BesideTransition {
    BesideState from;
    BesideEvent event;
    BesideState to;
};

constexpr std::array beside_transitions{
    BesideTransition{BesideState::None, BesideEvent::Ordered, BesideState::Preparing},
    BesideTransition{BesideState::None, BesideEvent::Found, BesideState::Draining},
    BesideTransition{BesideState::None, BesideEvent::StopOrdered,
                     BesideState::Stopping}, // found, and nobody may run it
    BesideTransition{BesideState::None, BesideEvent::Gone, BesideState::None},

    BesideTransition{BesideState::Preparing, BesideEvent::Refused, BesideState::None},
    BesideTransition{BesideState::Preparing, BesideEvent::Launched, BesideState::Starting},
    BesideTransition{BesideState::Preparing, BesideEvent::StopOrdered,
                     BesideState::Stopping}, // what systemd made of it is not known

    BesideTransition{BesideState::Starting, BesideEvent::BecameReady, BesideState::Proving},
    BesideTransition{BesideState::Starting, BesideEvent::StopOrdered, BesideState::Stopping},
    BesideTransition{BesideState::Starting, BesideEvent::Gone, BesideState::None},

    BesideTransition{BesideState::Proving, BesideEvent::Proved,
                     BesideState::Draining}, // what served until now drains
    BesideTransition{BesideState::Proving, BesideEvent::StopOrdered, BesideState::Stopping},
    BesideTransition{BesideState::Proving, BesideEvent::Gone, BesideState::None},

    BesideTransition{BesideState::Draining, BesideEvent::StopOrdered, BesideState::Stopping},
    BesideTransition{BesideState::Draining, BesideEvent::Gone, BesideState::None}, // it ended by itself

    BesideTransition{BesideState::Stopping, BesideEvent::StopOrdered, BesideState::Stopping},
    BesideTransition{BesideState::Stopping, BesideEvent::Gone, BesideState::None},
};

} // namespace

std::optional<BesideState> next(BesideState from, BesideEvent event) noexcept {
    for (const auto& transition : beside_transitions)
        if (transition.from == from && transition.event == event) return transition.to;
    return std::nullopt;
}

std::string_view name_of(BesideState state) noexcept {
    switch (state) {
    case BesideState::None:
        return "none";
    case BesideState::Preparing:
        return "preparing";
    case BesideState::Starting:
        return "starting";
    case BesideState::Proving:
        return "proving";
    case BesideState::Draining:
        return "draining";
    case BesideState::Stopping:
        return "stopping";
    }
    return "none";
}

std::string_view name_of(BesideEvent event) noexcept {
    switch (event) {
    case BesideEvent::Ordered:
        return "ordered";
    case BesideEvent::Refused:
        return "refused";
    case BesideEvent::Launched:
        return "launched";
    case BesideEvent::BecameReady:
        return "became ready";
    case BesideEvent::Proved:
        return "proved";
    case BesideEvent::Found:
        return "found";
    case BesideEvent::StopOrdered:
        return "stop ordered";
    case BesideEvent::Gone:
        return "gone";
    }
    return "gone";
}

} // namespace p2prc::process
