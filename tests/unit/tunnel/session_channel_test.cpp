// A session's connection over real TLS, between two ends of this process.
#include "net/identity.h"
#include "tunnel/session_channel.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace p2prc::tunnel {
namespace {

namespace asio = boost::asio;
using Side = net::TlsStream::Side;

asio::awaitable<void> shake(net::TlsStream& stream, Side side, int& done) {
    const auto shaken = co_await stream.handshake(side, std::chrono::seconds(5));
    if (shaken) ++done;
}

// An end without the other's channel: it says what it likes.
class SessionChannelTest : public testing::Test {
  protected:
    SessionChannelTest() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        const auto any = [](std::string_view) { return true; };
        const auto server = net::tls_server(*net::Identity::generate(), {{"test", any, {}}});
        const auto client = net::tls_client(*net::Identity::generate(), "test", any);
        net::TlsStream stream(loop.get_executor(), net::UniqueFd(ends[0]), *server);
        peer.emplace(loop.get_executor(), net::UniqueFd(ends[1]), *client);
        int done = 0;
        asio::co_spawn(loop, shake(stream, Side::Server, done), asio::detached);
        asio::co_spawn(loop, shake(*peer, Side::Client, done), asio::detached);
        loop.run();
        loop.restart();
        EXPECT_EQ(done, 2);
        channel.emplace(loop.get_executor(), std::move(stream));
    }

    asio::io_context loop;
    std::optional<net::TlsStream> peer;
    std::optional<SessionChannel> channel;
};

// The edge closes a session whose key is gone: what has come already must not be obeyed.
TEST_F(SessionChannelTest, NothingIsServedAfterTheEnd) {
    const auto body = [this]() -> asio::awaitable<void> {
        Bytes said = encode_want(1);
        const Bytes more = encode_want(2);
        said.insert(said.end(), more.begin(), more.end());
        const auto written = co_await peer->write(said);
        EXPECT_TRUE(written);
        const auto first = co_await channel->receive();
        EXPECT_TRUE(first);
        channel->close();
        const auto second = co_await channel->receive();
        EXPECT_FALSE(second);
        if (!second) {
            EXPECT_EQ(second.error().code, ErrorCode::Unreachable);
        }
        peer.reset();
    };
    asio::co_spawn(loop, body(), asio::detached);
    loop.run();
    EXPECT_FALSE(peer) << "the test did not come to its end";
}

} // namespace
} // namespace p2prc::tunnel
