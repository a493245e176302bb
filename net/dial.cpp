#include "net/dial.h"

#include "net/asio.h"
#include "net/sockaddr.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

namespace p2prc::net {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

tcp::endpoint to_asio(const Endpoint& endpoint) {
    sockaddr_storage name{};
    const auto size = to_sockaddr(endpoint, name);
    tcp::endpoint made;
    std::memcpy(made.data(), &name, size);
    made.resize(size);
    return made;
}

} // namespace

asio::awaitable<Result<UniqueFd>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                       std::chrono::milliseconds user_timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto target = to_asio(endpoint);
    // Asio opens sockets that a child inherits.
    UniqueFd opened(
        ::socket(target.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!opened) co_return std::unexpected(system_error("opening a socket to " + endpoint.text(), errno));
    const auto socket = std::make_shared<tcp::socket>(executor, target.protocol(), opened.release());
    asio::steady_timer timer(executor, timeout);
    timer.async_wait([weak = std::weak_ptr(socket)](const boost::system::error_code& error) {
        boost::system::error_code ignored;
        if (const auto connecting = weak.lock(); !error && connecting) connecting->close(ignored);
    });
    const auto [error] = co_await socket->async_connect(target, as_result);
    timer.cancel();
    if (error == asio::error::operation_aborted)
        co_return fail(ErrorCode::Unreachable, endpoint.text() + " does not answer");
    if (error) co_return fail(ErrorCode::Unreachable, endpoint.text() + ": " + error.message());

    boost::system::error_code ignored;
    socket->set_option(tcp::no_delay(true), ignored);
    const auto milliseconds = static_cast<unsigned>(user_timeout.count());
    if (milliseconds > 0)
        ::setsockopt(socket->native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds,
                     sizeof milliseconds);
    boost::system::error_code released;
    UniqueFd fd(socket->release(released));
    if (released) co_return fail(ErrorCode::Unreachable, endpoint.text() + ": " + released.message());
    co_return fd;
}

bool has_route(const Endpoint& endpoint) {
    sockaddr_storage name{};
    const auto size = to_sockaddr(endpoint, name);
    const UniqueFd fd(::socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0;
}

} // namespace p2prc::net
