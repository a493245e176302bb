// A spin on this node that a user of this node asks for.
#pragma once

#include "core/process_spec.h"
#include "daemon/fleet/control.h"
#include "state/own_state.h"
#include "state/state.h"

#include <boost/asio/awaitable.hpp>

namespace p2prc::daemon {

// Makes the request process.spin. That it was asked for here is noted on the disk before the registry hears
// of it: what comes back from a registry elsewhere is not believed about that. `here` is this node's name;
// the registry may choose another one where params name none. `fleet`, `own` and `replica` must outlive it.
boost::asio::awaitable<Result<Json>> spin_here(FleetControl& fleet, state::OwnState& own,
                                               const state::State& replica, std::string here,
                                               ProcessSpec spec, Json params);

} // namespace p2prc::daemon
