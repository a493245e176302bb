// The state of all tunnels at the edge: sessions, flow connections and pending flows, and how they interact.
#pragma once

#include "edge/listen/admission.h"
#include "edge/tunnel/session.h"
#include "net/tls.h"
#include "tunnel/session_frame.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <list>
#include <map>
#include <set>
#include <unordered_map>

namespace p2prc::edge {

struct Tunnels::State final : FlowKeeper, std::enable_shared_from_this<Tunnels::State> {
    using Clock = std::chrono::steady_clock;
    using Flows = std::list<std::unique_ptr<EdgeFlow>>;

    State(tunnel::Poller& poller_, TunnelOptions options_);

    // sessions.cpp
    bool allowed(std::string_view key) const { return keys.contains(key); }
    void allow(const std::vector<std::string>& connector_keys);
    bool is_connected(const std::string& key) const { return by_key.contains(key); }
    // Until when clients wait for a connector without a session.
    Clock::time_point back_by(const std::string& key) const;
    std::uint64_t begin_handshake(net::TlsStream& stream, const net::Address& from);
    void end_handshake(std::uint64_t number);
    static boost::asio::awaitable<void> serve_session(std::shared_ptr<State> state, net::UniqueFd socket,
                                                      net::Address from, Bytes received);
    static boost::asio::awaitable<void> run_session(std::shared_ptr<State> state,
                                                    std::shared_ptr<EdgeSession> session);
    void add_session(const std::shared_ptr<EdgeSession>& session);
    void end_session(const std::shared_ptr<EdgeSession>& session);

    // flows.cpp
    void accept_flow(net::UniqueFd socket, ByteView received, bool polled);
    void flow_lost(EdgeFlow& flow) override;
    void flow_answered(EdgeFlow& flow, std::optional<tunnel::Answer> answer) override;
    void retire(Flows& from, EdgeFlow& flow);
    // Closes idle flow connections beyond the session's target and beyond the limit for all sessions.
    void trim(EdgeSession& session);

    // pending_flows.cpp
    Ticket open(FlowRequest request, Opened done);
    void cancel(const Ticket& ticket);
    void advance(const std::shared_ptr<PendingFlow>& pending);
    Clock::time_point deadline_of(const PendingFlow& pending) const;
    void probe_connector(PendingFlow& pending, Clock::time_point now);
    bool ask_one(const std::shared_ptr<PendingFlow>& pending);
    // The connector's newest session that has an idle flow connection; null: there is none.
    EdgeSession* ready_session(const std::string& key) const;
    void start_waiting(const std::shared_ptr<PendingFlow>& pending, Waits what_for);
    void stop_waiting(PendingFlow& pending);
    // Evicts one client if too many wait or if they hold too many bytes.
    void evict_if_full(const std::shared_ptr<PendingFlow>& newcomer);
    void evict(PendingFlow& pending);
    void serve_waiting(const std::string& key);
    void note_hold(EdgeSession& session, tunnel::Hold hold);
    // Until when its connector holds it; long ago: it does not.
    Clock::time_point held_until(const PendingFlow& pending) const;
    void follow_hold(const std::shared_ptr<PendingFlow>& pending, Clock::time_point now);
    // Whether its name leads to another connector or mapping by now; then it is asked for there.
    bool moves(const std::shared_ptr<PendingFlow>& pending);
    // Whether it is worth asking again although the connector has refused it.
    bool asks_again(const std::shared_ptr<PendingFlow>& pending, tunnel::Answer answer);
    // Returns false if it was over already.
    bool end(PendingFlow& pending);
    void finish(std::shared_ptr<PendingFlow> pending, Result<ReadyFlow> result);
    void send_target(EdgeSession& session);

    // Runs while there is something to time: often with pending flows, every few seconds with sessions only.
    void tick();
    void schedule_tick();
    void close();

    tunnel::Poller& poller;
    TunnelOptions options;
    boost::asio::any_io_executor executor;
    std::optional<net::TlsContext> tls;
    std::set<std::string, std::less<>> keys;
    std::unordered_map<std::uint64_t, std::shared_ptr<EdgeSession>> sessions;
    std::map<std::string, std::vector<std::shared_ptr<EdgeSession>>> by_key; // oldest first
    // Connectors without a session: when they were last heard of, or, before that, allowed.
    std::map<std::string, Clock::time_point> heard;
    std::list<std::shared_ptr<PendingFlow>> pending_flows;
    // By connector.
    using Queues = std::map<std::string, std::deque<std::shared_ptr<PendingFlow>>>;
    Queues& queues(Waits what_for) { return what_for == Waits::ForProcess ? held : waiting; }
    Queues waiting; // for a flow connection
    Queues held;    // for a process
    std::list<PendingFlow*> waiting_in_order;
    Admission<PendingFlow*>& admission(Waits what_for) {
        return what_for == Waits::ForProcess ? held_from : waiting_from;
    }
    Admission<PendingFlow*> waiting_from;
    Admission<PendingFlow*> held_from;
    std::size_t waiting_bytes = 0; // sent by the waiting clients
    struct Handshake {
        net::TlsStream* stream;
        net::Address from;
        Admission<std::uint64_t>::Place share;
    };
    Admission<std::uint64_t> handshakes;            // handshakes in progress, by number
    std::map<std::uint64_t, Handshake> handshaking; // the same, oldest first
    std::uint64_t last_handshake = 0;
    std::size_t idle = 0; // idle flow connections of all sessions
    TunnelCounts counts;
    LookUp look_up;
    boost::asio::steady_timer timer;
    Clock::time_point timer_at = Clock::time_point::max();
    Clock::time_point settle_at{};
    bool closed = false;
};

} // namespace p2prc::edge
