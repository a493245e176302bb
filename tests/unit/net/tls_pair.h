// Two ends of a TLS connection over a socket pair, past their handshake, for tests.
#pragma once

#include "net/identity.h"
#include "net/tls.h"
#include "tests/unit/support/rethrow.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace p2prc::net {

class TlsPair {
  public:
    // Runs the loop until both have shaken hands, and leaves it ready to run again.
    explicit TlsPair(boost::asio::io_context& loop) : TlsPair(loop, connected_sockets()) {}

    TlsStream server, client;

  private:
    struct Sockets {
        UniqueFd server, client;
    };
    static Sockets connected_sockets() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        return {UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
    static bool anybody(std::string_view) { return true; }

    TlsPair(boost::asio::io_context& loop, Sockets sockets)
        : server(loop.get_executor(), std::move(sockets.server),
                 *tls_server(*Identity::generate(), {{"test", anybody, {}}}))
        , client(loop.get_executor(), std::move(sockets.client),
                 *tls_client(*Identity::generate(), "test", anybody)) {
        int done = 0;
        boost::asio::co_spawn(loop, shake_hands(server, TlsStream::Side::Server, done), test::rethrow);
        boost::asio::co_spawn(loop, shake_hands(client, TlsStream::Side::Client, done), test::rethrow);
        loop.run();
        loop.restart();
        EXPECT_EQ(done, 2) << "the handshake failed";
    }

    static boost::asio::awaitable<void> shake_hands(TlsStream& stream, TlsStream::Side side, int& done) {
        const auto secured = co_await stream.handshake(side, std::chrono::seconds(20));
        if (secured) ++done;
    }
};

} // namespace p2prc::net
