#include "edge/tunnel/tunnels.h"

#include "edge/tunnel/state.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

namespace p2prc::edge {
namespace asio = boost::asio;

Result<std::unique_ptr<Tunnels>> Tunnels::create(tunnel::Poller& poller, const net::Identity& identity,
                                                 TunnelOptions options) {
    auto state = std::make_shared<State>(poller, options);
    net::TlsProtocol protocol;
    protocol.alpn = tunnel::session_alpn;
    protocol.accept = [weak = std::weak_ptr(state)](std::string_view key) {
        const auto strong = weak.lock();
        return strong && strong->allowed(key);
    };
    Result<net::TlsContext> tls = net::tls_server(identity, {protocol});
    if (!tls) return std::unexpected(tls.error());
    state->tls = *tls;
    return std::unique_ptr<Tunnels>(new Tunnels(std::move(state)));
}

Tunnels::Tunnels(std::shared_ptr<State> state) : state_(std::move(state)) {}

Tunnels::~Tunnels() {
    state_->close();
}

void Tunnels::allow(const std::vector<std::string>& connector_keys) {
    state_->allow(connector_keys);
}

void Tunnels::accept_session(net::UniqueFd socket, const net::Address& from, Bytes received) {
    asio::co_spawn(state_->executor,
                   State::serve_session(state_, std::move(socket), from, std::move(received)),
                   net::ReportFailure("a tunnel session"));
}

void Tunnels::accept_flow(net::UniqueFd socket, ByteView received, bool polled) {
    state_->accept_flow(std::move(socket), received, polled);
}

void Tunnels::look_up_with(LookUp look_up) {
    state_->look_up = std::move(look_up);
}

Tunnels::Ticket Tunnels::open(FlowRequest request, Opened done) {
    return state_->open(std::move(request), std::move(done));
}

void Tunnels::cancel(const Ticket& ticket) {
    state_->cancel(ticket);
}

TunnelCounts Tunnels::counts() const {
    TunnelCounts counts = state_->counts;
    counts.homes = state_->by_key.size();
    counts.sessions = state_->sessions.size();
    counts.handshakes = state_->handshakes.total();
    counts.idle = state_->idle;
    counts.waiting = state_->waiting_in_order.size();
    return counts;
}

} // namespace p2prc::edge
