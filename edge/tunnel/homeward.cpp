#include "edge/tunnel/homeward.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace p2prc::edge {

Result<std::unique_ptr<TunnelHomeward>> TunnelHomeward::create(tunnel::Poller& poller, tunnel::Pumps& pumps,
                                                               Farewells& farewells, Counters& counters,
                                                               const net::Identity& identity) {
    auto tunnels = Tunnels::create(poller, identity);
    if (!tunnels) return std::unexpected(tunnels.error());
    return std::unique_ptr<TunnelHomeward>(
        new TunnelHomeward(poller, pumps, farewells, counters, std::move(*tunnels)));
}

TunnelHomeward::TunnelHomeward(tunnel::Poller& poller, tunnel::Pumps& pumps, Farewells& farewells,
                               Counters& counters, std::unique_ptr<Tunnels> tunnels)
    : poller_(poller)
    , pumps_(pumps)
    , farewells_(farewells)
    , counters_(counters)
    , tunnels_(std::move(tunnels)) {}

void TunnelHomeward::allow(const std::vector<std::string>& connector_keys) {
    tunnels_->allow(connector_keys);
    std::erase_if(groups_, [&](const auto& of) {
        if (std::ranges::find(connector_keys, of.first) != connector_keys.end()) return false;
        pumps_.stop(of.second);
        return true;
    });
}

void TunnelHomeward::on_session(Arrival arrival) {
    // Asio watches it from here on.
    if (arrival.polled) poller_.remove(arrival.socket.get());
    const ByteView received = as_bytes(arrival.received);
    tunnels_->accept_session(std::move(arrival.socket), Bytes(received.begin(), received.end()));
}

void TunnelHomeward::on_flow(Arrival arrival) {
    tunnels_->accept_flow(std::move(arrival.socket), as_bytes(arrival.received), arrival.polled);
}

void TunnelHomeward::carry(Arrival arrival, const Route& route, const std::string& name,
                           std::string_view sorry) {
    // Nothing is wanted of the client until its way is open, and whoever watched it goes away.
    if (std::exchange(arrival.polled, false)) poller_.remove(arrival.socket.get());
    FlowRequest request;
    request.connector_key = route.node_key;
    request.mapping_id = route.mapping_id;
    request.tls = route.tls;
    request.client = arrival.peer;
    request.server = net::local_endpoint(arrival.socket.get());
    request.server_name = name;
    request.first_bytes = std::move(arrival.received);
    auto& group = groups_[route.node_key];
    if (group == 0) group = ++last_group_;
    auto waiting = std::make_shared<Arrival>(std::move(arrival));
    tunnels_->open(std::move(request),
                   [this, waiting, group, words = std::string(sorry)](Result<ReadyFlow> flow) {
                       if (!flow) {
                           ++counters_.dial_failed;
                           return farewells_.say(std::move(*waiting), words);
                       }
                       tunnel::PumpSockets sockets;
                       sockets.a = std::move(waiting->socket);
                       sockets.b = std::move(flow->socket);
                       sockets.b_polled = true;
                       sockets.group = group;
                       sockets.to_b = std::move(flow->unsent);
                       pumps_.start(std::move(sockets), [this](const tunnel::PumpResult& result) {
                           if (result.end == tunnel::PumpEnd::Reset) ++counters_.resets;
                           if (result.end == tunnel::PumpEnd::IdleTimeout ||
                               result.end == tunnel::PumpEnd::HalfClosedTimeout)
                               ++counters_.idle_closed;
                       });
                   });
}

std::size_t TunnelHomeward::homes() const {
    return tunnels_->counts().homes;
}

nlohmann::json TunnelHomeward::status() const {
    const TunnelCounts counts = tunnels_->counts();
    return {
        {"homes", counts.homes},     {"sessions", counts.sessions}, {"ready", counts.idle},
        {"waiting", counts.waiting}, {"opened", counts.opened},     {"refused", counts.refused},
        {"failed", counts.failed},   {"replays", counts.replays},   {"bad_prefaces", counts.bad_prefaces}};
}

} // namespace p2prc::edge
