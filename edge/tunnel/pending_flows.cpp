// Pending flows: finds a flow connection for each client, tries another if one is slow, and limits the
// waiting.
#include "edge/tunnel/state.h"
#include "tunnel/flow_header.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <ranges>

namespace p2prc::edge {
namespace asio = boost::asio;
namespace {

constexpr unsigned most_tries = 5;
constexpr std::chrono::milliseconds quick_tick{50};
constexpr std::chrono::milliseconds slow_tick{5000};
constexpr std::size_t most_holds = 4096; // of one session: as many domains as a node may have, and more
// A connector's answer comes this much later than the time that it named, at most.
constexpr std::chrono::milliseconds hold_slack{2000};

} // namespace

Tunnels::State::State(tunnel::Poller& poller_, TunnelOptions options_)
    : poller(poller_)
    , options(options_)
    , executor(poller_.executor())
    , waiting_from(options.waiting_per_address)
    , held_from(options.held_per_address)
    , handshakes(options.handshakes_per_address)
    , timer(executor) {}

Tunnels::Ticket Tunnels::State::open(FlowRequest request, Opened done) {
    auto pending = std::make_shared<PendingFlow>();
    pending->request = std::move(request);
    pending->done = std::move(done);
    pending->begun = Clock::now();
    pending->deadline = pending->begun + options.wait;
    pending->place = pending_flows.insert(pending_flows.end(), pending);
    if (!tunnel::may_travel_unsealed(pending->request.tls)) {
        finish(pending, fail(ErrorCode::NotSupported, "sealed flows are not in this version"));
    } else if (!allowed(pending->request.connector_key)) {
        finish(pending, fail(ErrorCode::Unreachable, "the node has no connector in this fleet"));
    } else if (pending->begun >= deadline_of(*pending)) {
        finish(pending, fail(ErrorCode::Unreachable, "the node is not connected"));
    } else {
        advance(pending);
        schedule_tick();
    }
    return pending;
}

void Tunnels::State::cancel(const Ticket& ticket) {
    if (const auto pending = ticket.lock()) end(*pending);
}

// Asks on one more flow connection for `pending`, now or as soon as there is one.
void Tunnels::State::advance(const std::shared_ptr<PendingFlow>& pending) {
    if (pending->over || pending->waits != Waits::No) return;
    if (pending->tries >= most_tries) {
        // The flow connections already asked may still answer.
        pending->another_at = Clock::time_point::max();
        if (pending->asked.empty()) finish(pending, std::unexpected(pending->last));
        return;
    }
    if (!ask_one(pending)) start_waiting(pending, Waits::ForConnection);
}

void Tunnels::State::start_waiting(const std::shared_ptr<PendingFlow>& pending, Waits what_for) {
    const net::Address& from = pending->request.client.address;
    if (const auto oldest = admission(what_for).to_evict(from)) evict(**oldest);
    pending->waits = what_for;
    pending->share = admission(what_for).enter(from, pending.get());
    pending->waits_at = waiting_in_order.insert(waiting_in_order.end(), pending.get());
    waiting_bytes += pending->request.first_bytes.size();
    auto& queue = queues(what_for)[pending->request.connector_key];
    queue.push_back(pending);
    const auto found = by_key.find(pending->request.connector_key);
    if (found != by_key.end() && what_for == Waits::ForConnection) {
        EdgeSession& newest = *found->second.back();
        if (newest.target.taken(0, static_cast<std::uint32_t>(queue.size()))) send_target(newest);
    }
    evict_if_full(pending);
}

void Tunnels::State::stop_waiting(PendingFlow& pending) {
    const Waits what_for = std::exchange(pending.waits, Waits::No);
    auto& of_its_kind = queues(what_for);
    admission(what_for).leave(pending.request.client.address, pending.share);
    waiting_in_order.erase(pending.waits_at);
    waiting_bytes -= pending.request.first_bytes.size();
    const auto queue = of_its_kind.find(pending.request.connector_key);
    std::erase_if(queue->second, [&](const auto& each) { return each.get() == &pending; });
    if (queue->second.empty()) of_its_kind.erase(queue);
}

// Evicts the oldest or the largest, never the newest: otherwise a few clients could lock out all others.
void Tunnels::State::evict_if_full(const std::shared_ptr<PendingFlow>& newcomer) {
    const auto& same = queues(newcomer->waits).at(newcomer->request.connector_key);
    if (same.size() > options.waiting)
        evict(*same.front());
    else if (waiting_in_order.size() > options.waiting_in_all)
        evict(*waiting_in_order.front());
    if (waiting_bytes <= options.waiting_bytes) return;
    evict(**std::ranges::max_element(
        waiting_in_order, {}, [](const PendingFlow* each) { return each->request.first_bytes.size(); }));
}

void Tunnels::State::evict(PendingFlow& pending) {
    ++counts.crowded_out;
    const std::shared_ptr<PendingFlow> kept = *pending.place;
    if (pending.asked.empty() || pending.waits == Waits::ForProcess)
        return finish(kept, fail(ErrorCode::Unreachable, "too many clients are waiting for nodes"));
    // The flow connections already asked may still answer.
    stop_waiting(pending);
    pending.another_at = Clock::now() + options.another;
}

EdgeSession* Tunnels::State::ready_session(const std::string& key) const {
    const auto found = by_key.find(key);
    if (found == by_key.end()) return nullptr;
    for (const auto& session : found->second | std::views::reverse)
        if (!session->idle.empty()) return session.get();
    return nullptr;
}

bool Tunnels::State::ask_one(const std::shared_ptr<PendingFlow>& pending) {
    const FlowRequest& request = pending->request;
    EdgeSession* session = ready_session(request.connector_key);
    if (!session) return false;
    const tunnel::FlowHeader header{request.mapping_id, false, request.client, request.server,
                                    request.server_name};
    Result<Bytes> bytes = tunnel::encode_flow_header(header);
    if (!bytes) {
        finish(pending, std::unexpected(bytes.error()));
        return true;
    }
    pending->asked.splice(pending->asked.end(), session->idle, std::prev(session->idle.end()));
    --idle;
    pending->asked.back()->ask(pending, std::move(*bytes));
    ++pending->tries;
    pending->another_at = Clock::now() + options.another;
    const auto left = static_cast<std::uint32_t>(session->idle.size());
    if (session->target.taken(left, 0)) send_target(*session);
    return true;
}

void Tunnels::State::serve_waiting(const std::string& key) {
    for (;;) {
        const auto queue = waiting.find(key);
        if (queue == waiting.end() || !ready_session(key)) return;
        const std::shared_ptr<PendingFlow> pending = queue->second.front();
        stop_waiting(*pending);
        ask_one(pending);
    }
}

void Tunnels::State::note_hold(EdgeSession& session, tunnel::Hold hold) {
    if (hold.time.count() == 0) {
        session.holds.erase(hold.mapping);
        return;
    }
    if (session.holds.size() >= most_holds && !session.holds.contains(hold.mapping)) return;
    session.holds[hold.mapping] = Clock::now() + std::min(hold.time, options.longest_hold) + hold_slack;
}

Tunnels::State::Clock::time_point Tunnels::State::held_until(const PendingFlow& pending) const {
    Clock::time_point until{};
    const auto sessions_of = by_key.find(pending.request.connector_key);
    if (sessions_of == by_key.end()) return until;
    for (const auto& session : sessions_of->second)
        if (const auto held_there = session->holds.find(pending.request.mapping_id);
            held_there != session->holds.end())
            until = std::max(until, held_there->second);
    return until;
}

// A client that is held has its flow connection: no other is asked, and it may wait longer.
void Tunnels::State::follow_hold(const std::shared_ptr<PendingFlow>& pending, Clock::time_point now) {
    const bool asks = pending->waits == Waits::No && now >= pending->another_at && !pending->asked.empty();
    if (pending->over || (!asks && pending->waits != Waits::ForProcess)) return;
    const auto until = held_until(*pending);
    if (until > now) {
        const auto latest = pending->begun + options.longest_hold + hold_slack;
        pending->deadline = std::max(pending->deadline, std::min(until, latest));
        if (asks) start_waiting(pending, Waits::ForProcess);
    } else if (!asks) {
        stop_waiting(*pending);
        pending->another_at = now + options.another; // its answer is on its way
    }
}

bool Tunnels::State::moves(const std::shared_ptr<PendingFlow>& pending) {
    FlowRequest& request = pending->request;
    if (!look_up || request.server_name.empty()) return false;
    auto now = look_up(request.server_name);
    if (!now || !allowed(now->connector_key) || !tunnel::may_travel_unsealed(now->tls)) return false;
    if (now->connector_key == request.connector_key && now->mapping_id == request.mapping_id) return false;
    if (pending->waits != Waits::No) stop_waiting(*pending);
    while (!pending->asked.empty())
        retire(pending->asked, *pending->asked.front());
    request.connector_key = std::move(now->connector_key);
    request.mapping_id = now->mapping_id;
    request.tls = now->tls;
    pending->moved = true;
    pending->tries = 0;
    if (Clock::now() >= deadline_of(*pending)) return false; // that one is not there either
    advance(pending);
    return true;
}

bool Tunnels::State::asks_again(const std::shared_ptr<PendingFlow>& pending, tunnel::Answer answer) {
    using tunnel::Answer;
    if (answer != Answer::UnknownMapping && answer != Answer::DialRefused) return false;
    if (moves(pending)) return true;
    // A connector that has just started, or a mapping that has just been made: it is told in a moment.
    // Whether an application is worth waiting for, the connector has decided.
    if (answer != Answer::UnknownMapping || !look_up) return false;
    if (Clock::now() - pending->begun >= options.news) return false;
    if (!pending->asked.empty() || pending->waits != Waits::No) return true;
    pending->tries = 0;
    pending->another_at = Clock::now() + options.look_up;
    return true;
}

Tunnels::State::Clock::time_point Tunnels::State::deadline_of(const PendingFlow& pending) const {
    const auto& key = pending.request.connector_key;
    return is_connected(key) ? pending.deadline : std::min(pending.deadline, back_by(key));
}

// A machine that lost power says nothing, and pings would notice only after a while.
void Tunnels::State::probe_connector(PendingFlow& pending, Clock::time_point now) {
    if (std::exchange(pending.probed, true)) return;
    const auto found = by_key.find(pending.request.connector_key);
    if (found == by_key.end()) return;
    for (const auto& session : found->second) {
        if (now - session->probed_at < options.another) continue; // for another client
        session->probed_at = now;
        session->channel->probe(options.probe);
    }
}

bool Tunnels::State::end(PendingFlow& pending) {
    if (std::exchange(pending.over, true)) return false;
    while (!pending.asked.empty())
        retire(pending.asked, *pending.asked.front());
    // A flow that is over must not stay in the queue of an unreachable node, nor keep its bytes in memory.
    if (pending.waits != Waits::No) stop_waiting(pending);
    pending_flows.erase(pending.place);
    return true;
}

void Tunnels::State::finish(std::shared_ptr<PendingFlow> pending, Result<ReadyFlow> result) {
    if (!end(*pending)) return;
    if (!result) ++counts.failed;
    // The socket is still registered for the flow that is being retired, so `done` must take it over within
    // this iteration of the loop.
    if (result) return pending->done(std::move(result));
    auto call = [self = shared_from_this(), done = std::move(pending->done),
                 boxed = std::make_shared<Result<ReadyFlow>>(std::move(result))] {
        if (!self->closed) done(std::move(*boxed));
    };
    asio::post(executor, std::move(call));
}

void Tunnels::State::schedule_tick() {
    if (closed) return;
    const bool quick = !pending_flows.empty();
    if (!quick && sessions.empty()) return;
    // Without pending flows, ticks only close old and surplus flow connections, and can be rare.
    const auto at = Clock::now() + (quick ? quick_tick : std::min(slow_tick, options.idle_life / 8));
    if (at >= timer_at) return;
    timer_at = at;
    timer.expires_at(at);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->tick();
    });
}

void Tunnels::State::tick() {
    timer_at = Clock::time_point::max();
    const auto now = Clock::now();
    const std::vector<std::shared_ptr<PendingFlow>> under_way(pending_flows.begin(), pending_flows.end());
    for (const auto& pending : under_way) {
        follow_hold(pending, now);
        if (now >= deadline_of(*pending)) {
            if (now < pending->deadline && moves(pending)) continue;
            const bool absent = !is_connected(pending->request.connector_key);
            finish(pending, fail(ErrorCode::Unreachable,
                                 absent ? "the node is not connected" : "the node did not answer in time"));
            continue;
        }
        if (now - pending->begun >= options.another) probe_connector(*pending, now);
        if (pending->waits == Waits::No && now >= pending->another_at) {
            pending->last = {ErrorCode::Unreachable, "the node did not answer in time", {}};
            advance(pending);
        }
    }
    const bool settle = now >= settle_at;
    if (settle) settle_at = now + options.settle;
    for (const auto& [id, session] : sessions) {
        auto& ready = session->idle;
        if (settle && session->target.settle(static_cast<std::uint32_t>(ready.size()))) send_target(*session);
        // Close the surplus at once, but old connections a few at a time, so that the pool is never empty
        // while they are replaced.
        while (ready.size() > session->target.target())
            retire(ready, *ready.front());
        std::size_t aged = 1 + session->target.target() / 8;
        while (aged-- > 0 && !ready.empty() && now - ready.front()->since() >= options.idle_life)
            retire(ready, *ready.front());
    }
    schedule_tick();
}

void Tunnels::State::close() {
    closed = true;
    timer.cancel();
    while (!sessions.empty())
        end_session(std::shared_ptr(sessions.begin()->second));
    for (const auto& pending : pending_flows)
        pending->asked.clear();
    pending_flows.clear();
    waiting.clear();
    held.clear();
    waiting_in_order.clear();
}

} // namespace p2prc::edge
