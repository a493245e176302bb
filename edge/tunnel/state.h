// All that the edge knows of tunnels: sessions, flow connections and clients, and the rules between them.
#pragma once

#include "edge/listen/admission.h"
#include "edge/tunnel/session.h"
#include "net/tls.h"

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
    // `from` has entered `handshakes`, and leaves it here.
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

    // openings.cpp
    void open(FlowRequest request, Opened done);
    void advance(const std::shared_ptr<Opening>& opening);
    bool ask_one(const std::shared_ptr<Opening>& opening);
    void serve_waiting(const std::string& key);
    void finish(std::shared_ptr<Opening> opening, Result<ReadyFlow> result);
    void told_target(EdgeSession& session);

    // Runs while there is something to time: quickly with clients under way, every few seconds with flow
    // connections.
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
    std::list<std::shared_ptr<Opening>> openings;
    std::map<std::string, std::deque<std::shared_ptr<Opening>>> waiting;
    std::size_t waiting_bytes = 0;                    // that those have said
    Admission handshakes;                             // sessions under way
    std::map<std::uint64_t, net::TlsStream*> shaking; // the same, in the order in which they came
    std::uint64_t last_shaking = 0;
    TunnelCounts counts;
    boost::asio::steady_timer timer;
    Clock::time_point timer_at = Clock::time_point::max();
    Clock::time_point settle_at{};
    bool closed = false;
};

} // namespace p2prc::edge
