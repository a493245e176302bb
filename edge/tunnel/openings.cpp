// Clients on their way: a flow connection for each, another where one is slow, and an end to waiting.
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

} // namespace

Tunnels::State::State(tunnel::Poller& poller_, TunnelOptions options_)
    : poller(poller_)
    , options(options_)
    , executor(poller_.executor())
    , handshakes(options.handshakes_per_address)
    , timer(executor) {}

void Tunnels::State::open(FlowRequest request, Opened done) {
    auto opening = std::make_shared<Opening>();
    opening->request = std::move(request);
    opening->done = std::move(done);
    opening->deadline = Clock::now() + options.wait;
    opening->place = openings.insert(openings.end(), opening);
    if (!tunnel::may_travel_unsealed(opening->request.tls))
        return finish(opening, fail(ErrorCode::NotSupported, "sealed flows are not in this version"));
    if (!allowed(opening->request.connector_key))
        return finish(opening, fail(ErrorCode::Unreachable, "the node has no connector in this fleet"));
    advance(opening);
    schedule_tick();
}

// One more flow connection for `opening`, at once or as soon as there is one.
void Tunnels::State::advance(const std::shared_ptr<Opening>& opening) {
    if (opening->over || opening->waiting) return;
    if (opening->tries >= most_tries) {
        // What is still out may yet be answered.
        opening->another_at = Clock::time_point::max();
        if (opening->asked.empty()) finish(opening, std::unexpected(opening->last));
        return;
    }
    if (ask_one(opening)) return;
    const std::size_t size = opening->request.first_bytes.size();
    const auto refuse = [&](const char* why) {
        // What is out may yet be answered.
        opening->another_at = Clock::now() + options.another;
        if (opening->asked.empty()) finish(opening, fail(ErrorCode::Unreachable, why));
    };
    if (waiting_bytes + size > options.waiting_bytes) return refuse("clients that wait hold too much");
    const auto same = waiting.find(opening->request.connector_key);
    if (same != waiting.end() && same->second.size() >= options.waiting)
        return refuse("too many clients wait for the node");
    auto& queue = waiting[opening->request.connector_key];
    opening->waiting = true;
    waiting_bytes += size;
    queue.push_back(opening);
    const auto found = by_key.find(opening->request.connector_key);
    if (found == by_key.end()) return;
    EdgeSession& newest = *found->second.back();
    if (newest.target.taken(0, static_cast<std::uint32_t>(queue.size()))) told_target(newest);
}

bool Tunnels::State::ask_one(const std::shared_ptr<Opening>& opening) {
    const auto found = by_key.find(opening->request.connector_key);
    if (found == by_key.end()) return false;
    for (const auto& session : found->second | std::views::reverse) {
        if (session->idle.empty()) continue;
        const FlowRequest& request = opening->request;
        tunnel::FlowHeader header{request.mapping_id, false, request.client, request.server,
                                  request.server_name};
        Result<Bytes> bytes = tunnel::encode_flow_header(header);
        if (!bytes) {
            finish(opening, std::unexpected(bytes.error()));
            return true;
        }
        opening->asked.splice(opening->asked.end(), session->idle, std::prev(session->idle.end()));
        opening->asked.back()->ask(opening, std::move(*bytes));
        ++opening->tries;
        opening->another_at = Clock::now() + options.another;
        const auto idle = static_cast<std::uint32_t>(session->idle.size());
        if (session->target.taken(idle, 0)) told_target(*session);
        return true;
    }
    return false;
}

void Tunnels::State::serve_waiting(const std::string& key) {
    const auto found = waiting.find(key);
    if (found == waiting.end()) return;
    auto& queue = found->second;
    while (!queue.empty()) {
        const std::shared_ptr<Opening> opening = std::move(queue.front());
        queue.pop_front();
        opening->waiting = false;
        waiting_bytes -= opening->request.first_bytes.size();
        if (ask_one(opening)) continue;
        opening->waiting = true;
        waiting_bytes += opening->request.first_bytes.size();
        queue.push_front(opening);
        return;
    }
    waiting.erase(found);
}

void Tunnels::State::finish(std::shared_ptr<Opening> opening, Result<ReadyFlow> result) {
    if (std::exchange(opening->over, true)) return;
    if (!result) ++counts.failed;
    while (!opening->asked.empty())
        retire(opening->asked, *opening->asked.front());
    openings.erase(opening->place);
    // Those that gave up must not fill the queue of a node that is away, nor keep what they brought.
    if (std::exchange(opening->waiting, false)) {
        waiting_bytes -= opening->request.first_bytes.size();
        const auto queue = waiting.find(opening->request.connector_key);
        std::erase(queue->second, opening);
        if (queue->second.empty()) waiting.erase(queue);
    }
    // The socket's registration still names the flow that is being retired: it must be taken over within this
    // turn.
    if (result) return opening->done(std::move(result));
    auto call = [self = shared_from_this(), done = std::move(opening->done),
                 boxed = std::make_shared<Result<ReadyFlow>>(std::move(result))] {
        if (!self->closed) done(std::move(*boxed));
    };
    asio::post(executor, std::move(call));
}

void Tunnels::State::schedule_tick() {
    if (closed) return;
    const bool quick = !openings.empty();
    if (!quick && sessions.empty()) return;
    // With nobody under way only the pools' ages and surplus are looked after, well within their life.
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
    const std::vector<std::shared_ptr<Opening>> under_way(openings.begin(), openings.end());
    for (const auto& opening : under_way) {
        if (now >= opening->deadline) {
            const bool absent = !by_key.contains(opening->request.connector_key);
            finish(opening, fail(ErrorCode::Unreachable,
                                 absent ? "the node is not connected" : "the node did not answer in time"));
        } else if (!opening->waiting && now >= opening->another_at) {
            opening->last = {ErrorCode::Unreachable, "the node did not answer in time", {}};
            advance(opening);
        }
    }
    const bool settle = now >= settle_at;
    if (settle) settle_at = now + options.settle;
    for (const auto& [id, session] : sessions) {
        auto& idle = session->idle;
        if (settle && session->target.settle(static_cast<std::uint32_t>(idle.size()))) told_target(*session);
        // The surplus goes at once, the aged a few at a time, so that the pool is never empty for their
        // renewal.
        while (idle.size() > session->target.target())
            retire(idle, *idle.front());
        std::size_t aged = 1 + session->target.target() / 8;
        while (aged-- > 0 && !idle.empty() && now - idle.front()->since() >= options.idle_life)
            retire(idle, *idle.front());
    }
    schedule_tick();
}

void Tunnels::State::close() {
    closed = true;
    timer.cancel();
    while (!sessions.empty())
        end_session(std::shared_ptr(sessions.begin()->second));
    for (const auto& opening : openings)
        opening->asked.clear();
    openings.clear();
    waiting.clear();
}

} // namespace p2prc::edge
