// A connector's session at the edge, and a client that waits for its flow.
#pragma once

#include "edge/listen/admission.h"
#include "edge/tunnel/flow.h"
#include "edge/tunnel/tunnels.h"
#include "tunnel/pool_target.h"
#include "tunnel/replay_window.h"

#include <list>
#include <map>

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
    // Idle flow connections, oldest first. The newest is taken, because its path through NATs was seen to
    // work most recently.
    std::list<std::unique_ptr<EdgeFlow>> idle;
    std::unique_ptr<tunnel::SessionChannel> channel;
    std::chrono::steady_clock::time_point probed_at{};
    // Mappings whose clients the connector holds, and until when. It names them itself: bounded.
    std::map<std::uint32_t, std::chrono::steady_clock::time_point> holds;
};

enum class Waits : std::uint8_t {
    No,
    ForConnection, // there was no idle flow connection
    ForProcess,    // its connector holds it
};

struct PendingFlow {
    using Time = EdgeFlow::Time;

    FlowRequest request;
    Tunnels::Opened done;
    Time begun;
    Time deadline;
    bool probed = false;                        // its connector, for want of an answer
    Time another_at;                            // when to try one more flow connection
    std::list<std::unique_ptr<EdgeFlow>> asked; // flow connections that have not answered yet
    unsigned tries = 0;
    Waits waits = Waits::No;
    bool over = false;
    std::list<std::shared_ptr<PendingFlow>>::iterator place; // in State::pending_flows
    bool moved = false; // to another connector than the one that was asked for
    // While it waits: its places in State::waiting_in_order and State::admission().
    std::list<PendingFlow*>::iterator waits_at;
    Admission<PendingFlow*>::Place share;
    Error last{ErrorCode::Unreachable, {}, {}};
};

} // namespace p2prc::edge
