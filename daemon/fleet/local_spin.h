// A spin on this node, or another run of its deployer, that a user of this node asks for.
#pragma once

#include "core/process_spec.h"
#include "core/records.h"
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

// Makes the request process.redeploy of a process of this node, noted likewise. `record`: as it is known
// here.
boost::asio::awaitable<Result<Json>> redeploy_here(FleetControl& fleet, state::OwnState& own,
                                                   ProcessRecord record, Json params);

} // namespace p2prc::daemon
