// Flow connections at the edge: verifies new ones, and handles their answers and ends.
#include "edge/tunnel/state.h"
#include "tunnel/socket_options.h"

#include <sys/epoll.h>

#include <algorithm>

namespace p2prc::edge {
namespace {

constexpr std::uint32_t flow_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;

Error refusal(tunnel::Answer answer) {
    switch (answer) {
    case tunnel::Answer::UnknownMapping:
        return {ErrorCode::NotFound, std::string(answer_text(answer)), {}};
    case tunnel::Answer::NeedsSealing:
    case tunnel::Answer::NotSupported:
        return {ErrorCode::NotSupported, std::string(answer_text(answer)), {}};
    default:
        return {ErrorCode::Failed, std::string(answer_text(answer)), {}};
    }
}

} // namespace

void Tunnels::State::accept_flow(net::UniqueFd socket, ByteView received, bool polled) {
    // Keep only connections of a connector that has a session.
    const auto id = received.size() == tunnel::preface_size ? tunnel::parse_preface(received) : std::nullopt;
    const auto found = id ? sessions.find(id->session) : sessions.end();
    if (found == sessions.end() || !found->second->seals.verify_preface(*id, received)) {
        ++counts.bad_prefaces;
        return;
    }
    const std::shared_ptr<EdgeSession> session = found->second;
    if (!session->used.use(id->counter)) {
        ++counts.replays;
        return;
    }
    const int fd = socket.get();
    tunnel::set_accepted_flow_options(fd);
    Flows& ready = session->idle;
    ready.push_back(std::make_unique<EdgeFlow>(*this, std::move(socket), session, *id, Clock::now()));
    ++idle;
    EdgeFlow& flow = *ready.back();
    const Result<void> watched =
        polled ? poller.change(fd, flow_events, flow, 0) : poller.add(fd, flow_events, flow, 0);
    if (!watched) return retire(ready, flow);
    session->target.arrived(static_cast<std::uint32_t>(ready.size()));
    serve_waiting(session->key);
    trim(*session);
    schedule_tick();
}

void Tunnels::State::flow_lost(EdgeFlow& flow) {
    retire(flow.session()->idle, flow);
}

void Tunnels::State::flow_answered(EdgeFlow& flow, std::optional<tunnel::Answer> answer) {
    const std::shared_ptr<PendingFlow> pending = flow.pending();
    if (answer == tunnel::Answer::Accepted) {
        ReadyFlow ready{net::UniqueFd(), flow.unsent(),
                        pending->moved ? pending->request.connector_key : std::string()};
        ready.socket = flow.take_socket();
        retire(pending->asked, flow);
        ++counts.opened;
        return finish(pending, std::move(ready));
    }
    retire(pending->asked, flow);
    if (answer && !tunnel::worth_another_try(*answer)) {
        ++counts.refused;
        if (asks_again(pending, *answer)) return;
        return finish(pending, std::unexpected(refusal(*answer)));
    }
    pending->last = {ErrorCode::Unreachable, "the connection to the node broke before it answered", {}};
    // The connector that held it is restarting, or its home has gone.
    if (pending->waits == Waits::ForProcess && pending->asked.empty()) stop_waiting(*pending);
    advance(pending);
}

// A connector that was sent a lower target may have opened a few more already: tick() closes those.
void Tunnels::State::trim(EdgeSession& session) {
    while (session.idle.size() > session.target.target() + options.spare) {
        ++counts.surplus;
        retire(session.idle, *session.idle.front());
    }
    if (idle <= options.idle) return;
    const auto most =
        std::ranges::max_element(sessions, {}, [](const auto& entry) { return entry.second->idle.size(); });
    ++counts.surplus;
    retire(most->second->idle, *most->second->idle.front());
}

void Tunnels::State::retire(Flows& from, EdgeFlow& flow) {
    const auto at = std::ranges::find(from, &flow, &std::unique_ptr<EdgeFlow>::get);
    if (at == from.end()) return;
    if (flow.ready()) --idle;
    flow.drop();
    std::unique_ptr<EdgeFlow> last = std::move(*at);
    from.erase(at);
    if (!closed) poller.retire(std::move(last));
}

} // namespace p2prc::edge
