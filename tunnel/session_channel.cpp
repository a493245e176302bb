#include "tunnel/session_channel.h"

#include "net/clock.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace p2prc::tunnel {
namespace asio = boost::asio;
namespace {

constexpr std::size_t most_unsent = 64 * 1024;

} // namespace

struct SessionChannel::State : std::enable_shared_from_this<State> {
    State(asio::any_io_executor executor_, net::TlsStream stream_, PingTimes times_)
        : executor(std::move(executor_))
        , stream(std::move(stream_))
        , times(times_)
        , ping_timer(executor)
        , probe_timer(executor)
        , heard(net::boottime()) {}

    void close() noexcept {
        if (closed) return;
        closed = true;
        ping_timer.cancel();
        probe_timer.cancel();
        stream.close();
    }

    void send(const Bytes& frame) {
        if (closed) return;
        if (unsent.size() + frame.size() > most_unsent) return close();
        unsent.insert(unsent.end(), frame.begin(), frame.end());
        if (writing) return;
        writing = true;
        asio::co_spawn(executor, write_all(shared_from_this()),
                       net::ReportFailure("writing to a tunnel's session"));
    }

    static asio::awaitable<void> write_all(std::shared_ptr<State> state) {
        while (!state->unsent.empty() && !state->closed) {
            const Bytes batch = std::exchange(state->unsent, {});
            const Result<void> written = co_await state->stream.write(batch);
            if (!written) state->close();
        }
        state->writing = false;
    }

    // CLOCK_BOOTTIME includes the time that a machine is suspended. After a long suspend the peer has given
    // up this session, and the first tick notices.
    static asio::awaitable<void> ping(std::shared_ptr<State> state) {
        while (!state->closed) {
            boost::system::error_code error;
            state->ping_timer.expires_after(state->times.interval);
            co_await state->ping_timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
            if (state->closed) break;
            if (net::boottime() - state->heard > state->times.interval * state->times.misses) {
                state->silent = true;
                state->close();
                break;
            }
            state->send(encode_frame(FrameType::Ping, {}));
        }
    }

    // The deadline counts from the first unanswered probe; further probes do not extend it.
    static asio::awaitable<void> probe(std::shared_ptr<State> state, std::chrono::milliseconds within) {
        std::chrono::nanoseconds asked{};
        while (asked != state->asked) {
            asked = state->asked;
            boost::system::error_code error;
            state->probe_timer.expires_after(
                std::max(asked + within - net::boottime(), std::chrono::nanoseconds(0)));
            co_await state->probe_timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
            if (error || state->closed) co_return;
            if (state->heard >= asked) continue;
            state->silent = true;
            state->close();
            co_return;
        }
        state->probing = false;
    }

    asio::any_io_executor executor;
    net::TlsStream stream;
    PingTimes times;
    asio::steady_timer ping_timer;
    asio::steady_timer probe_timer;
    std::chrono::nanoseconds heard;   // boottime of the last byte from the peer
    std::chrono::nanoseconds asked{}; // boottime of the last probe
    bool probing = false;
    FrameReader reader;
    Bytes unsent;
    bool writing = false;
    bool closed = false;
    bool silent = false;
};

SessionChannel::SessionChannel(asio::any_io_executor executor, net::TlsStream stream, PingTimes times)
    : state_(std::make_shared<State>(std::move(executor), std::move(stream), times)) {
    asio::co_spawn(state_->executor, State::ping(state_), net::ReportFailure("pinging a tunnel's other end"));
}

SessionChannel::~SessionChannel() {
    close();
}
SessionChannel::SessionChannel(SessionChannel&&) noexcept = default;
SessionChannel& SessionChannel::operator=(SessionChannel&& other) noexcept {
    if (this != &other) {
        close();
        state_ = std::move(other.state_);
    }
    return *this;
}

asio::awaitable<Result<SessionFrame>> SessionChannel::receive() {
    const std::shared_ptr<State> state = state_;
    std::array<std::uint8_t, 1024> buffer;
    while (true) {
        // What was read already is not served after the end: the peer's key may be gone.
        if (state->closed)
            co_return fail(ErrorCode::Unreachable, state->silent
                                                       ? "the peer of the tunnel session fell silent"
                                                       : "the tunnel session was closed");
        Result<std::optional<SessionFrame>> frame = state->reader.next();
        if (!frame) {
            state->close();
            co_return std::unexpected(frame.error());
        }
        if (*frame) {
            if ((*frame)->type == static_cast<std::uint8_t>(FrameType::Pong)) continue;
            if ((*frame)->type == static_cast<std::uint8_t>(FrameType::Ping)) {
                state->send(encode_frame(FrameType::Pong, (*frame)->payload));
                continue;
            }
            co_return std::move(**frame);
        }
        const std::span<std::uint8_t> space(buffer);
        const Result<std::size_t> size = co_await state->stream.read_some(space);
        if (state->closed) continue;
        if (!size) {
            state->close();
            co_return std::unexpected(size.error());
        }
        state->heard = net::boottime();
        state->reader.feed(ByteView(buffer).first(*size));
    }
}

void SessionChannel::send(const Bytes& frame) {
    state_->send(frame);
}

void SessionChannel::probe(std::chrono::milliseconds within) {
    if (state_->closed) return;
    state_->send(encode_frame(FrameType::Ping, {}));
    state_->asked = net::boottime();
    if (std::exchange(state_->probing, true)) return;
    asio::co_spawn(state_->executor, State::probe(state_, within),
                   net::ReportFailure("probing a tunnel's other end"));
}

void SessionChannel::close() noexcept {
    if (state_) state_->close();
}

std::chrono::nanoseconds SessionChannel::silence() const noexcept {
    return state_->silent ? net::boottime() - state_->heard : std::chrono::nanoseconds(0);
}

net::TlsStream& SessionChannel::stream() noexcept {
    return state_->stream;
}

} // namespace p2prc::tunnel
