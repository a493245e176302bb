// Sessions at the edge: admits connectors and talks to them.
#include "edge/tunnel/state.h"
#include "tunnel/socket_options.h"

#include <boost/asio/co_spawn.hpp>
#include <openssl/rand.h>

#include <algorithm>
#include <ranges>

namespace p2prc::edge {
namespace asio = boost::asio;

void Tunnels::State::allow(const std::vector<std::string>& connector_keys) {
    keys = {connector_keys.begin(), connector_keys.end()};
    std::erase_if(heard, [this](const auto& entry) { return !allowed(entry.first); });
    for (const auto& key : keys)
        if (!is_connected(key)) heard.try_emplace(key, Clock::now());
    std::vector<std::shared_ptr<EdgeSession>> removed;
    for (const auto& [id, session] : sessions)
        if (!allowed(session->key)) removed.push_back(session);
    for (const auto& session : removed) {
        session->channel->send(
            tunnel::encode_frame(tunnel::FrameType::Goodbye, as_bytes("this key was removed")));
        end_session(session);
    }
    std::vector<std::shared_ptr<PendingFlow>> orphans;
    for (const auto& pending : pending_flows)
        if (!allowed(pending->request.connector_key)) orphans.push_back(pending);
    for (const auto& pending : orphans)
        finish(pending, fail(ErrorCode::Unreachable, "the node was removed from the fleet"));
}

Tunnels::State::Clock::time_point Tunnels::State::back_by(const std::string& key) const {
    const auto found = heard.find(key);
    return found == heard.end() ? Clock::time_point{} : found->second + options.back;
}

// If there are too many, in total or from one address, the oldest is evicted: refusing the newest would let
// strangers lock out connectors.
std::uint64_t Tunnels::State::begin_handshake(net::TlsStream& stream, const net::Address& from) {
    auto evicted = handshakes.to_evict(from);
    if (!evicted && handshaking.size() >= options.handshakes) evicted = handshaking.begin()->first;
    if (evicted) {
        handshaking.at(*evicted).stream->close();
        end_handshake(*evicted);
    }
    const std::uint64_t number = ++last_handshake;
    handshaking.emplace(number, Handshake{&stream, from, handshakes.enter(from, number)});
    return number;
}

// It may have been evicted already.
void Tunnels::State::end_handshake(std::uint64_t number) {
    const auto found = handshaking.find(number);
    if (found == handshaking.end()) return;
    handshakes.leave(found->second.from, found->second.share);
    handshaking.erase(found);
}

asio::awaitable<void> Tunnels::State::serve_session(std::shared_ptr<State> state, net::UniqueFd socket,
                                                    net::Address from, Bytes received) {
    tunnel::set_flow_options(socket.get());
    net::TlsStream stream(state->executor, std::move(socket), *state->tls);
    const std::uint64_t number = state->begin_handshake(stream, from);
    const Result<void> secured = co_await stream.handshake(net::TlsStream::Side::Server,
                                                           state->options.handshake, std::move(received));
    state->end_handshake(number);
    if (!secured || state->closed) co_return;
    const std::string key = stream.peer_fingerprint();
    const Result<Bytes> exported = stream.export_key(tunnel::exporter_label, tunnel::exporter_size);
    // The key may have been removed during the handshake.
    if (!exported || !state->allowed(key)) co_return;
    std::uint64_t id = 0;
    do {
        if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof id) != 1) co_return;
    } while (id == 0 || state->sessions.contains(id));
    auto session = std::make_shared<EdgeSession>(id, key, tunnel::FlowSeals(*exported));
    session->channel =
        std::make_unique<tunnel::SessionChannel>(state->executor, std::move(stream), state->options.ping);
    state->add_session(session);
    co_await run_session(state, session);
    state->end_session(session);
}

asio::awaitable<void> Tunnels::State::run_session(std::shared_ptr<State> state,
                                                  std::shared_ptr<EdgeSession> session) {
    session->channel->send(tunnel::encode_hello(session->id));
    state->send_target(*session);
    while (!state->closed) {
        const Result<tunnel::SessionFrame> frame = co_await session->channel->receive();
        if (!frame || frame->type == static_cast<std::uint8_t>(tunnel::FrameType::Goodbye)) co_return;
        if (frame->type == static_cast<std::uint8_t>(tunnel::FrameType::Hold))
            if (const auto hold = tunnel::parse_hold(frame->payload)) state->note_hold(*session, *hold);
    }
}

void Tunnels::State::add_session(const std::shared_ptr<EdgeSession>& session) {
    sessions[session->id] = session;
    auto& same = by_key[session->key];
    same.push_back(session);
    heard.erase(session->key);
    // A connector has no more paths to this edge than this: the oldest sessions belong to lost connections.
    if (same.size() > options.sessions_per_key) end_session(std::shared_ptr(same.front()));
    schedule_tick();
}

void Tunnels::State::end_session(const std::shared_ptr<EdgeSession>& session) {
    if (sessions.erase(session->id) == 0) return;
    const auto same = by_key.find(session->key);
    std::erase(same->second, session);
    if (same->second.empty()) {
        by_key.erase(same);
        if (allowed(session->key)) heard[session->key] = Clock::now() - session->channel->silence();
    }
    session->channel->close();
    while (!session->idle.empty())
        retire(session->idle, *session->idle.front());
}

void Tunnels::State::send_target(EdgeSession& session) {
    session.channel->send(tunnel::encode_want(session.target.target()));
}

} // namespace p2prc::edge
