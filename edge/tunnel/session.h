// A connector's session at the edge, and a client that waits to be carried.
#pragma once

#include "edge/listen/admission.h"
#include "edge/tunnel/flow.h"
#include "edge/tunnel/tunnels.h"
#include "tunnel/pool_target.h"
#include "tunnel/replay_window.h"

#include <list>

namespace p2prc::edge {

struct EdgeSession {
    EdgeSession(std::uint64_t id_, std::string key_, tunnel::FlowSeals seals_)
        : id(id_)
        , key(std::move(key_))
        , seals(std::move(seals_)) {}

    std::uint64_t id;
    std::string key;
    tunnel::FlowSeals seals;
    tunnel::ReplayWindow used;
    tunnel::PoolTarget target;
    // Those that lie ready, oldest first. The freshest is taken: its path through NATs has been seen to work
    // last.
    std::list<std::unique_ptr<EdgeFlow>> idle;
    std::unique_ptr<tunnel::SessionChannel> channel;
};

struct PendingFlow {
    using Time = EdgeFlow::Time;

    FlowRequest request;
    Tunnels::Opened done;
    Time deadline;
    Time another_at;                            // try one more flow connection then
    std::list<std::unique_ptr<EdgeFlow>> asked; // flow connections whose answer is awaited
    unsigned tries = 0;
    bool waiting = false; // for a flow connection
    bool over = false;
    std::list<std::shared_ptr<PendingFlow>>::iterator place; // in the list of those under way
    // While it waits: in the list of all that do, and among those of its address.
    std::list<PendingFlow*>::iterator waits_at;
    Admission<PendingFlow*>::Place share;
    Error last{ErrorCode::Unreachable, {}, {}};
};

} // namespace p2prc::edge
