// A session's connection over real TLS, between two ends of this process.
#include "tests/unit/net/tls_pair.h"
#include "tunnel/session_channel.h"

namespace p2prc::tunnel {
namespace {

namespace asio = boost::asio;

// An end without the other's channel: it says what it likes.
class SessionChannelTest : public testing::Test {
  protected:
    SessionChannelTest() {
        net::TlsPair pair(loop);
        peer.emplace(std::move(pair.client));
        channel.emplace(loop.get_executor(), std::move(pair.server));
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
    asio::co_spawn(loop, body(), test::rethrow);
    loop.run();
    EXPECT_FALSE(peer) << "the test did not come to its end";
}

} // namespace
} // namespace p2prc::tunnel
