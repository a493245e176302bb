#include "net/tls.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace p2prc::net {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Pair {
    UniqueFd first, second;
};

Pair socket_pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct Outcome {
    Result<void> handshake = fail(ErrorCode::Failed, "not run");
    std::string peer, psk, alpn, received;
    Result<Bytes> exported = fail(ErrorCode::Failed, "not run");
};

// Handshake, then each side sends a word and reads one.
asio::awaitable<void> talk(TlsStream& stream, TlsStream::Side side, std::string word, Outcome& outcome) {
    outcome.handshake = co_await stream.handshake(side, 2s);
    if (!outcome.handshake) co_return;
    const auto sent = co_await stream.write(as_bytes(word));
    std::array<std::uint8_t, 64> buffer{};
    const auto size = co_await stream.read_some(buffer);
    if (!sent || !size) {
        outcome.handshake = std::unexpected(size ? sent.error() : size.error());
        stream.close();
        co_return;
    }
    outcome.received.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*size));
    outcome.peer = stream.peer_fingerprint();
    outcome.psk = stream.psk_identity();
    outcome.alpn = stream.alpn();
    outcome.exported = stream.export_key("EXPORTER-test", 32);
}

struct Both {
    Outcome server, client;
};

Both run(const TlsContext& server, const TlsContext& client) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream a(loop.get_executor(), std::move(sockets.first), server);
    TlsStream b(loop.get_executor(), std::move(sockets.second), client);
    Both both;
    asio::co_spawn(loop, talk(a, TlsStream::Side::Server, "from server", both.server), asio::detached);
    asio::co_spawn(loop, talk(b, TlsStream::Side::Client, "from client", both.client), asio::detached);
    loop.run();
    return both;
}

class Tls : public testing::Test {
  protected:
    static KeyCheck only(const Identity& identity) {
        return [key = identity.fingerprint()](std::string_view shown) { return shown == key; };
    }
    SecretLookup secrets() const {
        return [this](std::string_view identity) -> std::optional<Bytes> {
            if (identity == "invitation-1") return secret;
            return {};
        };
    }
    TlsContext server_context() const {
        return *tls_server(root, {{"control/1", only(member), {}}, {"join/1", {}, secrets()}});
    }

    const Identity root = *Identity::generate();
    const Identity member = *Identity::generate();
    const Identity stranger = *Identity::generate();
    const Bytes secret = Bytes(32, 0x5a);
};

TEST_F(Tls, PinnedKeysAreAccepted) {
    const auto both = run(server_context(), *tls_client(member, "control/1", only(root)));
    ASSERT_TRUE(both.server.handshake) << both.server.handshake.error().message;
    ASSERT_TRUE(both.client.handshake) << both.client.handshake.error().message;
    EXPECT_EQ(both.server.peer, member.fingerprint());
    EXPECT_EQ(both.client.peer, root.fingerprint());
    EXPECT_EQ(both.server.received, "from client");
    EXPECT_EQ(both.client.received, "from server");
    EXPECT_EQ(both.server.alpn, "control/1");
    EXPECT_EQ(both.client.alpn, "control/1");
    EXPECT_EQ(both.server.psk, "");
    EXPECT_EQ(both.server.exported, both.client.exported);
}

TEST_F(Tls, AnotherClientKeyIsRefused) {
    const auto both = run(server_context(), *tls_client(stranger, "control/1", only(root)));
    ASSERT_FALSE(both.server.handshake);
    EXPECT_EQ(both.server.handshake.error().code, ErrorCode::NotPermitted);
    ASSERT_FALSE(both.client.handshake);
    EXPECT_EQ(both.client.handshake.error().code, ErrorCode::NotPermitted)
        << both.client.handshake.error().message;
}

TEST_F(Tls, AnInternalErrorOfThePeerIsNoRefusal) {
    asio::io_context loop;
    auto sockets = socket_pair();
    constexpr std::array<std::uint8_t, 7> alert{21, 3, 3, 0, 2, 2, 80};
    ASSERT_EQ(::send(sockets.first.get(), alert.data(), alert.size(), 0), 7);
    TlsStream client(loop.get_executor(), std::move(sockets.second),
                     *tls_client(member, "control/1", only(root)));
    Outcome outcome;
    asio::co_spawn(loop, talk(client, TlsStream::Side::Client, "word", outcome), asio::detached);
    loop.run();
    ASSERT_FALSE(outcome.handshake);
    EXPECT_EQ(outcome.handshake.error().code, ErrorCode::Unreachable) << outcome.handshake.error().message;
}

TEST_F(Tls, AnotherServerKeyIsRefused) {
    const auto both = run(server_context(), *tls_client(member, "control/1", only(stranger)));
    ASSERT_FALSE(both.client.handshake);
    EXPECT_EQ(both.client.handshake.error().code, ErrorCode::NotPermitted);
    EXPECT_FALSE(both.server.handshake);
}

TEST_F(Tls, SharedSecretNeedsNoCertificate) {
    const auto both = run(server_context(), *tls_client_with_secret("join/1", "invitation-1", secret));
    ASSERT_TRUE(both.server.handshake) << both.server.handshake.error().message;
    ASSERT_TRUE(both.client.handshake) << both.client.handshake.error().message;
    EXPECT_EQ(both.server.psk, "invitation-1");
    EXPECT_EQ(both.server.peer, "");
    EXPECT_EQ(both.server.exported, both.client.exported);
}

TEST_F(Tls, WrongSecretOrIdentityIsRefused) {
    for (const auto& client : {*tls_client_with_secret("join/1", "invitation-1", Bytes(32, 0x5b)),
                               *tls_client_with_secret("join/1", "invitation-2", secret)}) {
        const auto both = run(server_context(), client);
        EXPECT_FALSE(both.server.handshake);
        EXPECT_FALSE(both.client.handshake);
    }
}

TEST_F(Tls, ProtocolsDoNotLendEachOtherTheirKeys) {
    // A certificate is worth nothing where a secret is asked for, nor a secret where a key is.
    EXPECT_FALSE(run(server_context(), *tls_client(member, "join/1", only(root))).server.handshake);
    const auto both = run(server_context(), *tls_client_with_secret("control/1", "invitation-1", secret));
    EXPECT_FALSE(both.server.handshake);
    EXPECT_FALSE(both.client.handshake);
}

TEST_F(Tls, UnknownProtocolIsRefused) {
    EXPECT_FALSE(run(server_context(), *tls_client(member, "other/1", only(root))).server.handshake);
}

asio::awaitable<void> only_handshake(TlsStream& stream, TlsStream::Side side, Bytes received,
                                     Result<void>& result) {
    result = co_await stream.handshake(side, 100ms, std::move(received));
}

TEST_F(Tls, SilentPeerIsDropped) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream stream(loop.get_executor(), std::move(sockets.first), server_context());
    Result<void> result;
    asio::co_spawn(loop, only_handshake(stream, TlsStream::Side::Server, {}, result), asio::detached);
    loop.run();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Unreachable);
}

TEST_F(Tls, RandomBytesAreRefused) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream stream(loop.get_executor(), std::move(sockets.first), server_context());
    Result<void> result;
    asio::co_spawn(loop, only_handshake(stream, TlsStream::Side::Server, Bytes(300, 0x16), result),
                   asio::detached);
    loop.run();
    EXPECT_FALSE(result);
}

} // namespace
} // namespace p2prc::net
