#include "core/text.h"
#include "link/session_impl.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

namespace p2prc::link {

namespace asio = boost::asio;

namespace {

// A wall clock further in the future than year 9999 is none.
constexpr std::uint64_t latest_time = 253'402'300'799'000;

std::chrono::milliseconds wall_clock() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

} // namespace

std::optional<std::uint64_t> number(const Json& document, const char* key) {
    const auto it = document.find(key);
    if (it == document.end() || !it->is_number_unsigned()) return {};
    return it->get<std::uint64_t>();
}

std::string text(const Json& document, const char* key) {
    const auto it = document.find(key);
    return it != document.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Json error_to_json(const Error& error) {
    return {{"code", error_info(error.code).name}, {"message", error.message}, {"hint", error.hint}};
}

Error error_from_json(const Json& document) {
    if (!document.is_object()) return {ErrorCode::Failed, "an error without a description"};
    return {error_code_from_name(text(document, "code")), text(document, "message"), text(document, "hint")};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

std::shared_ptr<Session> Session::make(asio::any_io_executor executor, net::TlsStream stream) {
    return std::shared_ptr<Session>(new Session(std::make_unique<State>(executor, std::move(stream))));
}

const net::TlsStream& Session::tls() const {
    return state_->stream;
}

bool Session::closed() const {
    return state_->closed;
}

std::optional<std::chrono::milliseconds> Session::clock_ahead() const {
    return state_->clock_ahead;
}

std::optional<std::chrono::microseconds> Session::round_trip() const {
    return state_->round_trip;
}

std::chrono::nanoseconds Session::silence() const {
    return net::boottime() - state_->heard;
}

void Session::close(std::optional<Error> reason) {
    if (!state_->closed) state_->reason = std::move(reason);
    state_->closed = true;
    state_->stream.close();
    fail_all(state_->reason.value_or(Error{ErrorCode::Unreachable, "the link is down"}));
}

void Session::fail_all(const Error& error) {
    for (const auto& [id, pending] : std::exchange(state_->pending, {})) {
        pending->answer = std::unexpected(error);
        pending->changed.set();
    }
    for (const auto& [id, incoming] : std::exchange(state_->incoming, {})) {
        incoming->end = std::unexpected(error);
        incoming->changed.set();
    }
    for (const auto& [id, outgoing] : state_->outgoing) {
        outgoing->cancelled = true;
        outgoing->changed.set();
    }
    state_->drained.set();
    state_->sent.set();
    state_->room.set();
}

void Session::hold(std::size_t bytes) {
    ++state_->serving;
    state_->held += bytes;
}

void Session::let_go(std::size_t bytes) {
    --state_->serving;
    state_->held -= bytes;
    state_->room.set();
}

bool Session::send(const Json& document) {
    auto frame = encode_frame(document);
    if (!frame) return false;
    send_frame(std::make_shared<const Bytes>(std::move(*frame)));
    return true;
}

void Session::send_frame(std::shared_ptr<const Bytes> frame) {
    if (state_->closed) return;
    state_->unsent_bytes += frame->size() + frame_overhead;
    state_->unsent.push_back(std::move(frame));
    if (state_->unsent_bytes > max_unsent) {
        close(Error{ErrorCode::Unreachable, "the peer does not read what it gets"});
        return;
    }
    if (std::exchange(state_->writing, true)) return;
    state_->progress = net::boottime();
    asio::co_spawn(state_->executor, write_queue(shared_from_this()),
                   net::ReportFailure("writing to a control link"));
}

asio::awaitable<void> Session::write_queue(std::shared_ptr<Session> /* keeps it alive */) {
    while (!state_->unsent.empty() && !state_->closed) {
        // Frames that wait are sent together: one TLS record, one system call.
        auto batch = std::move(state_->unsent.front());
        state_->unsent.pop_front();
        auto taken = batch->size() + frame_overhead;
        const auto fits = [&](std::size_t size) {
            return !state_->unsent.empty() && size + state_->unsent.front()->size() <= 16384;
        };
        if (fits(batch->size())) {
            Bytes together(*batch);
            for (; fits(together.size()); state_->unsent.pop_front()) {
                const auto& next = *state_->unsent.front();
                together.insert(together.end(), next.begin(), next.end());
                taken += next.size() + frame_overhead;
            }
            batch = std::make_shared<const Bytes>(std::move(together));
        }
        const auto written = co_await state_->stream.write(*batch);
        state_->unsent_bytes -= taken;
        state_->progress = net::boottime();
        state_->sent.set();
        if (!written) close(written.error());
    }
    state_->writing = false;
    state_->drained.set();
}

std::size_t Session::unsent() const {
    return state_->unsent_bytes;
}

std::chrono::nanoseconds Session::stuck() const {
    return state_->writing ? net::boottime() - state_->progress : std::chrono::nanoseconds{};
}

asio::awaitable<void> Session::room(std::size_t bytes) {
    const auto self = shared_from_this();
    while (state_->unsent_bytes >= bytes && !state_->closed)
        co_await state_->sent.wait();
}

asio::awaitable<void> Session::drain() {
    const auto self = shared_from_this();
    while (state_->writing && !state_->closed)
        co_await state_->drained.wait();
}

asio::awaitable<Result<Json>> Session::read_document() {
    while (true) {
        // What was read already is not served after the end: the peer may have been removed.
        if (state_->closed) co_return fail(ErrorCode::Unreachable, "the connection was closed");
        auto document = state_->reader.next();
        if (!document) co_return std::unexpected(document.error());
        if (*document) co_return std::move(**document);
        const auto bytes = co_await state_->stream.read_some();
        if (!bytes) co_return std::unexpected(bytes.error());
        state_->heard = net::boottime();
        state_->reader.feed(*bytes);
    }
}

asio::awaitable<Result<Json>> Session::exchange_hello(Json mine, std::chrono::milliseconds timeout) {
    const auto self = shared_from_this();
    Json document;
    document["hello"] = std::move(mine);
    send(document);
    asio::steady_timer timer(state_->executor, timeout);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto session = weak.lock();
        if (!error && session)
            session->close(Error{ErrorCode::Unreachable, "the peer sent no hello in time"});
    });
    auto theirs = co_await read_document();
    timer.cancel();
    if (!theirs) {
        const auto error = state_->reason.value_or(theirs.error());
        close(error);
        co_return std::unexpected(error);
    }
    const auto hello = theirs->find("hello");
    if (hello == theirs->end() || !hello->is_object()) {
        const Error error{ErrorCode::InvalidSpec, "the peer's first message is not a hello"};
        close(error);
        co_return std::unexpected(error);
    }
    co_return *hello;
}

asio::awaitable<Error> Session::run(SessionHandlers handlers) {
    const auto self = shared_from_this();
    state_->handlers = std::move(handlers);
    Error reason;
    while (true) {
        auto document = co_await read_document();
        if (!document) {
            reason = state_->reason.value_or(document.error());
            break;
        }
        dispatch(*document);
        if (state_->handlers.heard) state_->handlers.heard();
        // The peer waits, by TCP's own means, until there is room for its next request.
        while (!state_->closed &&
               (state_->held > max_request_bytes || state_->serving >= max_requests_at_once))
            co_await state_->room.wait();
    }
    close(reason);
    state_->handlers = {};
    co_return reason;
}

void Session::dispatch(const Json& document) {
    if (const auto n = number(document, "ping")) {
        send({{"pong", *n}, {"time", wall_clock().count()}});
    } else if (const auto pong = number(document, "pong")) {
        const auto sent = state_->pings.find(*pong);
        if (sent == state_->pings.end()) return;
        state_->round_trip =
            std::chrono::duration_cast<std::chrono::microseconds>(net::boottime() - sent->second);
        state_->pings.erase(state_->pings.begin(), std::next(sent));
        if (const auto time = number(document, "time"); time && *time <= latest_time)
            state_->clock_ahead =
                wall_clock() -
                std::chrono::duration_cast<std::chrono::milliseconds>(*state_->round_trip / 2) -
                std::chrono::milliseconds(*time);
    } else if (document.contains("event")) {
        if (state_->handlers.event) state_->handlers.event(document);
    } else if (const auto more = number(document, "more")) {
        const auto it = state_->outgoing.find(*more);
        if (it == state_->outgoing.end() || it->second->credit >= stream_window) return;
        ++it->second->credit;
        it->second->changed.set();
    } else if (const auto cancel = number(document, "cancel")) {
        const auto it = state_->outgoing.find(*cancel);
        if (it == state_->outgoing.end()) return;
        it->second->cancelled = true;
        it->second->changed.set();
    } else if (const auto id = number(document, "id"); id && document.contains("method")) {
        auto params = document.value("params", Json::object());
        const auto method = text(document, "method");
        if (document.contains("stream") && state_->outgoing.contains(*id)) {
            close(Error{ErrorCode::InvalidSpec, "the peer gives two streams the same number"});
        } else if (document.contains("stream") && state_->outgoing.size() >= state_->handlers.streams) {
            const Error error{ErrorCode::Failed,
                              std::to_string(state_->handlers.streams) +
                                  " logs are read through this link already, which is the most",
                              "end one of them: p2prc logs --follow on another terminal or machine"};
            send({{"id", *id}, {"error", error_to_json(error)}});
        } else if (document.contains("stream")) {
            state_->outgoing[*id] = std::make_shared<State::Outgoing>(state_->executor);
            hold(state_->reader.last_size());
            asio::co_spawn(
                state_->executor,
                serve_stream(shared_from_this(), *id, method, std::move(params), state_->reader.last_size()),
                net::ReportFailure("the stream '" + text::excerpt(method) + "' of a control link"));
        } else {
            hold(state_->reader.last_size());
            asio::co_spawn(
                state_->executor,
                serve_request(shared_from_this(), *id, method, std::move(params), state_->reader.last_size()),
                net::ReportFailure("the request '" + text::excerpt(method) + "' of a control link"));
        }
    } else if (id) {
        dispatch_reply(*id, document);
    }
}

void Session::dispatch_reply(std::uint64_t id, const Json& document) {
    const auto error = document.find("error");
    if (const auto it = state_->pending.find(id); it != state_->pending.end()) {
        const auto pending = it->second;
        state_->pending.erase(it);
        if (error != document.end())
            pending->answer = std::unexpected(error_from_json(*error));
        else
            pending->answer = document.value("result", Json::object());
        pending->changed.set();
        return;
    }
    take_piece(id, document);
}

asio::awaitable<void> Session::serve_request(std::shared_ptr<Session> /* keeps it alive */, std::uint64_t id,
                                             std::string method, Json params, std::size_t bytes) {
    // A name as long as a frame would leave no room for the answer.
    const auto name = "'" + text::excerpt(method) + "'";
    Result<Json> result = fail(ErrorCode::NotSupported, name + " is not in this version");
    try {
        if (const auto handler = state_->handlers.request)
            result = co_await handler(std::move(method), std::move(params));
    } catch (const std::exception& error) {
        result = fail(ErrorCode::Failed, name + " broke: " + error.what());
    }
    let_go(bytes);
    Json reply{{"id", id}};
    if (result)
        reply["result"] = std::move(*result);
    else
        reply["error"] = error_to_json(result.error());
    if (!send(reply)) {
        const Error error{ErrorCode::Failed, "the answer to " + name + " is too large for the link"};
        send({{"id", id}, {"error", error_to_json(error)}});
    }
}

asio::awaitable<Result<Json>> Session::request(std::string method, Json params,
                                               std::chrono::milliseconds timeout) {
    const auto self = shared_from_this();
    if (state_->closed) co_return fail(ErrorCode::Unreachable, "the link is down");
    const auto id = state_->next_id++;
    const auto pending = std::make_shared<State::Pending>(state_->executor);
    state_->pending[id] = pending;
    Json document{{"id", id}, {"method", method}, {"params", std::move(params)}};
    if (!send(document)) {
        state_->pending.erase(id);
        co_return fail(ErrorCode::InvalidSpec, "'" + method + "' is too large for the link");
    }
    if (!pending->answer) co_await pending->changed.wait(timeout);
    if (!pending->answer) {
        state_->pending.erase(id);
        co_return fail(ErrorCode::Unreachable, "no answer to '" + method + "' in time");
    }
    co_return std::move(*pending->answer);
}

void Session::ping() {
    const auto n = state_->next_id++;
    // Of many unanswered ones, the first tell nothing new.
    if (state_->pings.size() > 8) state_->pings.erase(state_->pings.begin());
    state_->pings[n] = net::boottime();
    send({{"ping", n}});
}

} // namespace p2prc::link
