// Two sessions joined by a socket pair with real TLS, for tests.
#pragma once

#include "daemon/fleet/session.h"
#include "net/identity.h"
#include "net/tls.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace p2prc::daemon {

struct SessionPair {
    explicit SessionPair(boost::asio::io_context& loop) {
        int fds[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        const auto any = [](std::string_view) { return true; };
        const auto server = net::tls_server(*net::Identity::generate(), {{"test", any, {}}});
        const auto client = net::tls_client(*net::Identity::generate(), "test", any);
        net::TlsStream a(loop.get_executor(), net::UniqueFd(fds[0]), *server);
        net::TlsStream b(loop.get_executor(), net::UniqueFd(fds[1]), *client);
        bool done = false;
        boost::asio::co_spawn(loop, shake(a, net::TlsStream::Side::Server, done), boost::asio::detached);
        boost::asio::co_spawn(loop, shake(b, net::TlsStream::Side::Client, done), boost::asio::detached);
        loop.run();
        loop.restart();
        EXPECT_TRUE(done);
        left = Session::make(loop.get_executor(), std::move(a));
        right = Session::make(loop.get_executor(), std::move(b));
    }

    static boost::asio::awaitable<void> shake(net::TlsStream& stream, net::TlsStream::Side side, bool& done) {
        const auto result = co_await stream.handshake(side, std::chrono::seconds(5));
        done = result.has_value();
    }

    std::shared_ptr<Session> left, right;
};

} // namespace p2prc::daemon
