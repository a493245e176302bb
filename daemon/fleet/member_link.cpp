#include "daemon/fleet/member_link.h"

#include "daemon/fleet/log_limit.h"
#include "daemon/fleet/upload.h"
#include "link/feed.h"
#include "link/server.h"
#include "link/session.h"
#include "net/clock.h"
#include "net/dial.h"
#include "net/event.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <cstdint>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// Somebody who waits for the link.
struct Waiter {
    std::shared_ptr<net::Event> event;
    std::uint64_t since = 0; // attempts that had begun before
    int refusals = 0;        // that it still waits out
};

} // namespace

Error telling_failure(std::span<const DialFailure> failures, const std::optional<net::Address>& worked) {
    const auto first = [&](auto holds) { return std::ranges::find_if(failures, holds); };
    auto told = first([&](const DialFailure& failure) { return failure.endpoint.address == worked; });
    if (told == failures.end()) told = first(&DialFailure::has_route);
    if (told == failures.end()) told = failures.begin();
    return told == failures.end() ? Error{ErrorCode::Unreachable, "the root was not dialled"} : told->error;
}

struct MemberLink::State : std::enable_shared_from_this<State> {
    State(asio::any_io_executor e, net::Identity i, state::Replica& r, state::OwnState& o, LinkOptions op,
          registry::Gateway& g)
        : executor(e)
        , identity(std::move(i))
        , replica(r)
        , own(o)
        , options(std::move(op))
        , gateway(g)
        , wake(e) {}

    asio::awaitable<void> keep(std::shared_ptr<State> self);
    asio::awaitable<Error> attempt();
    asio::awaitable<Result<net::TlsStream>> connect();
    asio::awaitable<void> look_up();
    asio::awaitable<void> watch(std::shared_ptr<State> self, std::shared_ptr<link::Session> watched);
    void take(const std::shared_ptr<link::Session>& from, const Json& event);
    void set_up();
    void set_down(const Error& reason);
    void tell_refused();
    link::SessionHandlers handlers(const std::shared_ptr<link::Session>& of);

    asio::any_io_executor executor;
    net::Identity identity;
    state::Replica& replica;
    state::OwnState& own;
    LinkOptions options;
    registry::Gateway& gateway; // the link itself, for the upload
    net::Event wake;            // dial now
    std::shared_ptr<link::Session> session;
    std::shared_ptr<net::Event> probe; // of the session: ping now
    std::unique_ptr<link::FeedReader> feed;
    std::unique_ptr<Upload> upload;
    std::vector<Waiter> waiters;
    Error last = {ErrorCode::Unreachable, "the root was not dialled yet"};
    bool ask_all = false; // the replica does not follow the feed: ask for everything
    bool up = false;
    bool ever_up = false;
    bool stopped = false;
    std::chrono::nanoseconds down_since = net::boottime();
    int refusals = 0;
    bool root_refused = false; // in the last attempt, and by the root itself: its key was right
    std::uint64_t attempts = 0;
    std::size_t next_address = 0;
    std::optional<net::Address> dialled;                  // the last that worked
    std::vector<net::Endpoint> found;                     // by DNS
    std::chrono::nanoseconds asked_dns = net::boottime(); // or when the link was up last
};

// The root may have moved, and said so in DNS only. Whose address it is, the key decides.
asio::awaitable<void> MemberLink::State::look_up() {
    const auto now = net::boottime();
    if (root_refused) co_return; // where it is, is known
    if (!options.look_up || now - asked_dns < options.timing.look_up) co_return;
    asked_dns = now;
    const auto self = shared_from_this();
    auto addresses = co_await options.look_up();
    if (!addresses.empty()) found = std::move(addresses);
}

asio::awaitable<Result<net::TlsStream>> MemberLink::State::connect() {
    auto addresses = options.addresses();
    for (const auto& endpoint : found)
        if (std::ranges::find(addresses, endpoint) == addresses.end()) addresses.push_back(endpoint);
    if (addresses.empty()) co_return fail(ErrorCode::Unreachable, "no address of the root is known");
    const auto& timing = options.timing;
    std::vector<DialFailure> failures;
    for (std::size_t i = 0; i < addresses.size() && !stopped; ++i) {
        const auto endpoint = addresses[next_address % addresses.size()];
        auto socket = co_await net::dial(endpoint, timing.dial, timing.dead);
        if (socket) {
            const auto root_key = options.root_key;
            auto accept = [root_key](std::string_view key) { return key == root_key; };
            const auto context =
                net::tls_client(identity, std::string(link::control_alpn), std::move(accept));
            if (!context) co_return std::unexpected(context.error());
            net::TlsStream stream(executor, std::move(*socket), *context);
            const auto done = co_await stream.handshake(net::TlsStream::Side::Client, timing.handshake);
            if (done) {
                dialled = endpoint.address;
                co_return std::move(stream);
            }
            failures.push_back(
                {endpoint,
                 {done.error().code, "the root at " + endpoint.text() + ": " + done.error().message},
                 true});
        } else {
            failures.push_back({endpoint, socket.error(), net::has_route(endpoint)});
        }
        ++next_address; // stays on one that works, moves on from one that does not
    }
    co_return std::unexpected(telling_failure(failures, dialled));
}

link::SessionHandlers MemberLink::State::handlers(const std::shared_ptr<link::Session>& of) {
    link::SessionHandlers handlers;
    const std::weak_ptr<State> weak = weak_from_this();
    const std::weak_ptr<link::Session> weak_session = of;
    handlers.event = [weak, weak_session](const Json& event) {
        const auto self = weak.lock();
        const auto from = weak_session.lock();
        if (self && from) self->take(from, event);
    };
    handlers.request = [measure = options.measure_usage](std::string method,
                                                         Json) -> asio::awaitable<Result<Json>> {
        if (method == "usage" && measure) return measure();
        return [](std::string name) -> asio::awaitable<Result<Json>> {
            co_return fail(ErrorCode::NotSupported, "'" + name + "' is not in this version");
        }(std::move(method));
    };
    handlers.streams = logs_for_other_nodes; // the root's is the one link for all of them
    handlers.stream = [open = options.open_logs](
                          std::string method,
                          Json params) -> asio::awaitable<Result<std::unique_ptr<link::TextStream>>> {
        if (method == "logs" && open) return open(std::move(params));
        return [](std::string name) -> asio::awaitable<Result<std::unique_ptr<link::TextStream>>> {
            co_return fail(ErrorCode::NotSupported, "'" + name + "' is not in this version");
        }(std::move(method));
    };
    return handlers;
}

// One connection from its dial to its end.
asio::awaitable<Error> MemberLink::State::attempt() {
    const auto self = shared_from_this();
    root_refused = false;
    auto stream = co_await connect();
    if (!stream) co_return stream.error();
    const auto current = link::Session::make(executor, std::move(*stream));
    const auto position = ask_all ? state::FeedPosition{} : replica.position();
    ask_all = false;
    Json mine{{"version", P2PRC_VERSION},
              {"features", {"logs", "usage"}},
              {"node", options.node},
              {"store_id", position.store_id},
              {"revision", position.revision}};
    const auto theirs = co_await current->exchange_hello(std::move(mine), options.timing.handshake);
    if (!theirs) {
        // In TLS 1.3 a client has finished its handshake when the server looks at its certificate.
        root_refused = theirs.error().code == ErrorCode::NotPermitted;
        co_return theirs.error();
    }
    if (stopped) co_return last;
    refusals = 0;
    found.clear();
    if (options.reached) options.reached(*dialled);
    if (const auto source = theirs->find("source"); source != theirs->end() && source->is_string())
        if (options.seen_from) options.seen_from(source->get<std::string>());
    session = current;
    probe = std::make_shared<net::Event>(executor);
    feed = std::make_unique<link::FeedReader>();
    asio::co_spawn(executor, watch(self, current), net::ReportFailure("watching the control link"));
    auto serving = handlers(current);
    const auto reason = co_await current->run(std::move(serving));
    session.reset();
    probe->set(); // the watcher ends
    co_return reason;
}

void MemberLink::State::take(const std::shared_ptr<link::Session>& from, const Json& event) {
    const auto kind = event.find("event");
    if (*kind == "synced") {
        set_up();
        return;
    }
    if (*kind == "look" && options.looked) options.looked();
    if (*kind != "changes" && *kind != "reset") return;
    auto whole = feed->take(event);
    if (!whole) {
        ask_all = true;
        from->close(whole.error());
        return;
    }
    if (!*whole) return;
    auto& received = **whole;
    if (received.reset) {
        replica.reset(received.store_id, received.revision, std::move(received.items));
    } else if (!replica.apply(received.store_id, received.revision, std::move(received.items))) {
        ask_all = true;
        from->close(
            Error{ErrorCode::Failed, "changes of the fleet's state are missing: asking for all of it"});
    }
}

// Pings, measures, and drops a root that is silent.
asio::awaitable<void> MemberLink::State::watch(std::shared_ptr<State> /* keeps it alive */,
                                               std::shared_ptr<link::Session> watched) {
    const auto& timing = options.timing;
    const auto event = probe;
    auto limit = timing.dead;
    // The time of the first unanswered ping. The deadline counts from it; network changes do not extend it.
    auto asked = net::boottime();
    while (session == watched && !watched->closed() && !stopped) {
        watched->ping();
        const auto now = net::boottime();
        if (watched->silence() <= now - asked) asked = now;
        const bool changed = co_await event->wait(limit == timing.dead ? timing.ping : timing.probe);
        if (session != watched || stopped) break;
        const auto since_ping = net::boottime() - asked;
        if (watched->silence() > limit &&
            since_ping >= std::min<std::chrono::nanoseconds>(limit, timing.ping) / 2) {
            watched->close(Error{ErrorCode::Unreachable, "the root does not answer any more"});
            break;
        }
        if (const auto time = watched->round_trip(); time && options.measured) options.measured(*time);
        if (const auto ahead = watched->clock_ahead(); ahead && options.clock) options.clock(*ahead);
        // After a change of the network the connection may be bound to an address that is gone.
        limit = changed ? timing.probe : timing.dead;
    }
}

void MemberLink::State::set_up() {
    if (up) return;
    up = ever_up = true;
    upload = std::make_unique<Upload>(executor, gateway, own, replica);
    for (const auto& waiter : std::exchange(waiters, {}))
        waiter.event->set();
    if (options.changed) options.changed(true, {});
}

void MemberLink::State::set_down(const Error& reason) {
    last = reason;
    if (!std::exchange(up, false)) return;
    asked_dns = down_since = net::boottime();
    upload.reset();
    if (options.changed) options.changed(false, reason.message);
}

void MemberLink::State::tell_refused() {
    for (auto& waiter : waiters)
        if (waiter.since < attempts && --waiter.refusals == 0) waiter.event->set();
}

asio::awaitable<void> MemberLink::State::keep(std::shared_ptr<State> /* keeps it alive */) {
    while (!stopped) {
        const auto began = net::boottime();
        co_await look_up();
        if (stopped) co_return;
        ++attempts;
        auto reason = co_await attempt();
        if (stopped) co_return;
        if (reason.code == ErrorCode::NotPermitted) {
            ++refusals;
            reason.message = "the root refuses this node's key: it was removed from the fleet, or is not let "
                             "in yet (" +
                             reason.message + ")";
            reason.hint =
                "p2prc leave --force makes this node standalone again, with all its processes; then "
                "run p2prc join with a token";
            if (refusals == refusals_believed) {
                net::log_warning(reason.message);
                if (options.refused) options.refused();
            }
        }
        set_down(reason);
        if (reason.code == ErrorCode::NotPermitted) tell_refused();
        const auto pause = refusals >= refusals_believed ? options.timing.refused : options.timing.retry;
        const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(net::boottime() - began);
        if (spent < pause) co_await wake.wait(pause - spent);
    }
}

MemberLink::MemberLink(asio::any_io_executor executor, const net::Identity& identity, state::Replica& replica,
                       state::OwnState& own, LinkOptions options)
    : state_(std::make_shared<State>(executor, identity, replica, own, std::move(options), *this)) {
    net::spawn_loop(executor, "keeping the control link", [state = state_] { return state->keep(state); });
}

MemberLink::~MemberLink() {
    state_->stopped = true;
    state_->upload.reset();
    if (state_->session) state_->session->close();
    state_->wake.set();
    for (const auto& waiter : std::exchange(state_->waiters, {}))
        waiter.event->set();
}

bool MemberLink::reachable() const {
    return state_->up;
}

bool MemberLink::connecting() const {
    return !state_->ever_up && state_->last.code != ErrorCode::NotPermitted &&
           net::boottime() - state_->down_since < state_->options.timing.first;
}

std::optional<Error> MemberLink::upload_trouble() const {
    return state_->upload ? state_->upload->trouble() : std::nullopt;
}

Error MemberLink::away() const {
    const auto& last = state_->last;
    // It is up, and is reached: other words than of one that does not answer.
    if (last.code == ErrorCode::NotPermitted) return {ErrorCode::Unreachable, last.message, last.hint};
    auto error = registry::Gateway::away();
    error.message += ": " + last.message;
    return error;
}

void MemberLink::network_changed() {
    if (state_->session) state_->probe->set();
    state_->wake.set();
}

void MemberLink::look() {
    if (state_->session && state_->up) state_->session->send({{"event", "look"}});
}

asio::awaitable<Result<Json>> MemberLink::request(std::string method, Json params) {
    const auto session = state_->session;
    if (!session || !state_->up) co_return std::unexpected(away());
    auto answer = co_await session->request(std::move(method), std::move(params));
    if (!answer && session->closed() && answer.error().code == ErrorCode::Unreachable)
        co_return fail(
            ErrorCode::Unreachable,
            "the link to the root broke before it answered: " + answer.error().message,
            "it may have been done all the same: look at p2prc ps and p2prc domains before you try "
            "again");
    co_return answer;
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> MemberLink::open_stream(std::string method,
                                                                                   Json params) {
    const auto session = state_->session;
    if (!session || !state_->up) co_return std::unexpected(away());
    co_return co_await session->open_stream(std::move(method), std::move(params));
}

asio::awaitable<Result<void>> MemberLink::wait_up(std::chrono::milliseconds timeout, int refusals) {
    const auto state = state_;
    if (!state->up && !state->stopped) {
        const auto event = std::make_shared<net::Event>(state->executor);
        state->waiters.push_back({event, state->attempts, refusals});
        co_await event->wait(timeout);
        std::erase_if(state->waiters, [&](const Waiter& waiter) { return waiter.event == event; });
    }
    if (state->up) co_return Result<void>();
    co_return std::unexpected(state->last);
}

asio::awaitable<void> MemberLink::wait_back() {
    if (state_->last.code == ErrorCode::NotPermitted) co_return;
    const auto away =
        std::chrono::duration_cast<std::chrono::milliseconds>(net::boottime() - state_->down_since);
    if (away < state_->options.timing.back) (void)co_await wait_up(state_->options.timing.back - away);
}

} // namespace p2prc::daemon
