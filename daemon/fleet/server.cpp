#include "daemon/fleet/server.h"

#include "net/asio.h"
#include "net/log.h"
#include "net/proxy_protocol.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>

namespace p2prc::daemon {

namespace asio = boost::asio;
using net::as_result;

struct ControlServer::State {
    State(asio::any_io_executor e, net::TlsContext c, ServerHandlers h, ServerLimits l)
        : executor(e)
        , listener(e)
        , context(std::move(c))
        , handlers(std::move(h))
        , limits(l) {}

    asio::any_io_executor executor;
    asio::posix::stream_descriptor listener;
    net::TlsContext context;
    ServerHandlers handlers;
    ServerLimits limits;
    Counters counters;
    std::size_t half_open = 0;
    std::map<net::Address, std::size_t> half_open_of;
    bool stopped = false;
};

namespace {

// Counts one connection as half open, for as long as it lives.
template <class State>
class HalfOpen {
  public:
    explicit HalfOpen(std::shared_ptr<State> state) : state_(std::move(state)) { ++state_->half_open; }
    HalfOpen(const HalfOpen&) = delete;
    HalfOpen& operator=(const HalfOpen&) = delete;
    ~HalfOpen() {
        --state_->half_open;
        if (key_ && --state_->half_open_of[*key_] == 0) state_->half_open_of.erase(*key_);
    }
    // False when this address has enough of them.
    bool of(const net::Address& address) {
        const auto key = address.limit_key();
        auto& count = state_->half_open_of[key];
        if (count >= state_->limits.half_open_per_address) return false;
        ++count;
        key_ = key;
        return true;
    }

  private:
    std::shared_ptr<State> state_;
    std::optional<net::Address> key_;
};

// Reads exactly the header, so that the descriptor is left at the first byte of TLS.
asio::awaitable<Result<net::ProxyHeader>> read_proxy_header(int fd, std::chrono::milliseconds timeout) {
    const auto executor = co_await asio::this_coro::executor;
    // Closing this one ends the wait, and leaves the connection to its owner.
    net::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) co_return std::unexpected(system_error("cannot wait for a connection", errno));
    const auto socket = std::make_shared<asio::posix::stream_descriptor>(executor);
    boost::system::error_code refused;
    socket->assign(copy.get(), refused);
    if (refused) co_return std::unexpected(system_error("cannot wait for a connection", refused.value()));
    copy.release();
    asio::steady_timer timer(executor, timeout);
    timer.async_wait([weak = std::weak_ptr(socket)](const boost::system::error_code& error) {
        boost::system::error_code ignored;
        if (const auto reading = weak.lock(); !error && reading) reading->close(ignored);
    });
    Bytes header;
    std::size_t wanted = net::proxy_fixed_size;
    while (header.size() < wanted) {
        const auto [waited] =
            co_await socket->async_wait(asio::posix::stream_descriptor::wait_read, as_result);
        if (waited) co_return fail(ErrorCode::Unreachable, "no PROXY header in time");
        const auto have = header.size();
        header.resize(wanted);
        const auto count = ::recv(fd, header.data() + have, wanted - have, MSG_DONTWAIT);
        header.resize(have + (count > 0 ? static_cast<std::size_t>(count) : 0));
        if (count == 0) co_return fail(ErrorCode::Unreachable, "closed before the PROXY header");
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            co_return std::unexpected(system_error("cannot read a connection", errno));
        const auto size = net::proxy_header_size(header);
        if (!size) co_return std::unexpected(size.error());
        if (*size) wanted = **size;
    }
    co_return net::decode_proxy_header(header);
}

template <class State>
asio::awaitable<void> greet(std::shared_ptr<State> state, net::UniqueFd fd) {
    auto half_open = std::make_unique<HalfOpen<State>>(state);
    const auto header = co_await read_proxy_header(fd.get(), state->limits.handshake);
    if (!header) {
        ++state->counters.bad_header;
        net::log_debug("control: " + header.error().message);
        co_return;
    }
    const auto source = header->source.value_or(net::Endpoint{});
    if (!half_open->of(source.address)) {
        ++state->counters.refused_full;
        co_return;
    }
    net::TlsStream stream(state->executor, std::move(fd), state->context);
    const auto done = co_await stream.handshake(net::TlsStream::Side::Server, state->limits.handshake);
    half_open.reset();
    if (!done) {
        ++state->counters.bad_handshake;
        net::log_info("control: a handshake from " + source.text() + " failed: " + done.error().message);
        co_return;
    }
    if (!state->stopped) state->handlers.connected(std::move(stream), source);
}

template <class State>
asio::awaitable<void> accept_all(std::shared_ptr<State> state) {
    while (!state->stopped) {
        const auto [waited] =
            co_await state->listener.async_wait(asio::posix::stream_descriptor::wait_read, as_result);
        if (waited) co_return;
        // As many as wait: Asio's reactor is edge-triggered, but async_wait re-arms it.
        while (true) {
            net::UniqueFd fd(
                ::accept4(state->listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (!fd) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                    // The connection stays in the queue: without a pause this would spin.
                    asio::steady_timer pause(state->executor, std::chrono::milliseconds(100));
                    co_await pause.async_wait(as_result);
                }
                break;
            }
            ++state->counters.accepted;
            if (state->half_open >= state->limits.half_open) {
                ++state->counters.refused_full;
                continue;
            }
            asio::co_spawn(state->executor, greet(state, std::move(fd)),
                           net::ReportFailure("the handshake of a control link"));
        }
    }
}

} // namespace

ControlServer::ControlServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() {
    state_->stopped = true;
    boost::system::error_code ignored;
    state_->listener.close(ignored);
}

ControlServer::Counters ControlServer::counters() const {
    return state_->counters;
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(asio::any_io_executor executor,
                                                            net::UniqueFd listener,
                                                            const net::Identity& identity,
                                                            ServerHandlers handlers, ServerLimits limits) {
    std::vector<net::TlsProtocol> protocols{{std::string(control_alpn), handlers.is_member, {}},
                                            {std::string(join_alpn), {}, handlers.invitation}};
    auto context = net::tls_server(identity, std::move(protocols));
    if (!context) return std::unexpected(context.error());
    auto state = std::make_shared<State>(executor, std::move(*context), std::move(handlers), limits);
    // accept4 below must not block when a connection went away meanwhile.
    const int flags = ::fcntl(listener.get(), F_GETFL);
    if (flags < 0 || ::fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return std::unexpected(system_error("cannot use the control socket", errno));
    boost::system::error_code error;
    state->listener.assign(listener.get(), error);
    if (error) return std::unexpected(system_error("cannot use the control socket", error.value()));
    listener.release();
    net::spawn_loop(executor, "accepting control links", [state] { return accept_all(state); });
    return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

} // namespace p2prc::daemon
