#include "link/server.h"

#include "net/asio.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/log_tally.h"
#include "net/proxy_protocol.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

namespace p2prc::link {

namespace asio = boost::asio;
using net::as_result;

struct ControlServer::State {
    State(asio::any_io_executor e, net::TlsContext c, ServerHandlers h, ServerLimits l)
        : executor(e)
        , listener(e)
        , context(std::move(c))
        , handlers(std::move(h))
        , limits(l)
        , half_open(l.half_open) {}

    std::chrono::milliseconds handshake_timeout() const {
        return half_open.crowded() ? limits.crowded : limits.handshake;
    }

    asio::any_io_executor executor;
    asio::posix::stream_descriptor listener;
    net::TlsContext context;
    ServerHandlers handlers;
    ServerLimits limits;
    Counters counters;
    HalfOpen half_open;
    net::LogTally failed{"control links whose handshake failed"};
    bool stopped = false;
};

namespace {

// A connection until its handshake is done.
class Greeting {
  public:
    explicit Greeting(net::UniqueFd socket) : fd(std::move(socket)) {}

    // Ends what is under way.
    void drop() {
        dropped = true;
        if (stream)
            stream->close();
        else
            ::shutdown(fd.get(), SHUT_RDWR);
    }

    net::UniqueFd fd; // until it is the stream's
    std::optional<net::TlsStream> stream;
    bool dropped = false;
};

// A place among the half open, for as long as it lives.
template <class State>
class Place {
  public:
    Place(std::shared_ptr<State> state, const std::shared_ptr<Greeting>& greeting)
        : state_(std::move(state))
        , id_(state_->half_open.arrive([state = state_.get(), weak = std::weak_ptr(greeting)] {
            ++state->counters.displaced;
            if (const auto displaced = weak.lock()) displaced->drop();
        })) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { state_->half_open.leave(id_); }
    void name(const net::Address& address) { state_->half_open.name(id_, address); }

  private:
    std::shared_ptr<State> state_;
    HalfOpen::Id id_;
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
        const auto have = header.size();
        header.resize(wanted);
        const auto count = ::recv(fd, header.data() + have, wanted - have, MSG_DONTWAIT);
        header.resize(have + (count > 0 ? static_cast<std::size_t>(count) : 0));
        if (count < 0 && errno == EAGAIN) {
            const auto [waited] =
                co_await socket->async_wait(asio::posix::stream_descriptor::wait_read, as_result);
            if (waited) co_return fail(ErrorCode::Unreachable, "no PROXY header in time");
        }
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
    const auto greeting = std::make_shared<Greeting>(std::move(fd));
    auto place = std::make_unique<Place<State>>(state, greeting);
    const auto header = co_await read_proxy_header(greeting->fd.get(), state->handshake_timeout());
    if (greeting->dropped) co_return;
    if (!header) {
        ++state->counters.bad_header;
        net::log_debug("control: " + header.error().message);
        co_return;
    }
    const auto source = header->source.value_or(net::Endpoint{});
    place->name(source.address);
    if (greeting->dropped) co_return;
    greeting->stream.emplace(state->executor, std::move(greeting->fd), state->context);
    const auto done =
        co_await greeting->stream->handshake(net::TlsStream::Side::Server, state->handshake_timeout());
    place.reset();
    if (greeting->dropped) co_return;
    if (!done) {
        ++state->counters.bad_handshake;
        state->failed.note("from " + source.text() + ": " + done.error().message, net::boottime());
        co_return;
    }
    if (greeting->stream->alpn() == control_alpn && header->source) state->half_open.remember(source.address);
    if (!state->stopped) state->handlers.connected(std::move(*greeting->stream), source);
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
            asio::co_spawn(state->executor, greet(state, std::move(fd)),
                           net::ReportFailure("the handshake of a control link"));
            // The edge sends its header at once: whom it names is known before the next one is taken in.
            co_await asio::post(state->executor, asio::use_awaitable);
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

} // namespace p2prc::link
