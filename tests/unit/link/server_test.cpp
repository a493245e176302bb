#include "link/server.h"
#include "net/asio.h"
#include "net/proxy_protocol.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/rethrow.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <filesystem>

namespace p2prc::link {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class ControlServerTest : public testing::Test {
  protected:
    ControlServerTest() {
        net::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        name.sun_family = AF_UNIX;
        const auto path = (directory.path() / "control.sock").string();
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
        EXPECT_EQ(::listen(listener.get(), 100), 0);
        ServerHandlers handlers;
        handlers.is_member = [this](std::string_view key) { return key == member.fingerprint(); };
        handlers.invitation = [](std::string_view id) -> std::optional<Bytes> {
            if (id == "one") return Bytes(32, 1);
            return {};
        };
        handlers.connected = [this](net::TlsStream stream, net::Endpoint source) {
            seen.push_back(stream.alpn() + " " + stream.peer_fingerprint() + stream.psk_identity() + " " +
                           source.text());
        };
        ServerLimits limits;
        limits.half_open.all = 8;
        limits.half_open.of_network = 2;
        limits.handshake = 60s;
        server = std::move(*ControlServer::start(loop.get_executor(), std::move(listener), root,
                                                 std::move(handlers), limits));
    }

    net::UniqueFd connect() const {
        net::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
        return fd;
    }
    static Bytes proxy_header(const char* source) {
        net::ProxyHeader header;
        header.source = *net::Endpoint::parse(source);
        header.destination = *net::Endpoint::parse("203.0.113.1:443");
        return *net::encode_proxy_header(header);
    }
    // The client side: header, handshake, then whether the server lets it be.
    asio::awaitable<void> come(net::TlsContext context, Bytes header, Result<void>& result) {
        auto fd = connect();
        EXPECT_EQ(::send(fd.get(), header.data(), header.size(), 0), static_cast<ssize_t>(header.size()));
        net::TlsStream stream(loop.get_executor(), std::move(fd), context);
        result = co_await stream.handshake(net::TlsStream::Side::Client, 20s);
    }
    // Ends the server when `condition` holds; a bound, not a measurement.
    asio::awaitable<void> finish_when(std::function<bool()> condition) {
        asio::steady_timer timer(loop);
        for (int i = 0; i < 1000 && !condition(); ++i) {
            timer.expires_after(10ms);
            co_await timer.async_wait(net::as_result);
        }
        last = server->counters();
        server.reset();
    }

    ControlServer::Counters last;
    net::TemporaryDirectory directory;
    sockaddr_un name{};
    asio::io_context loop;
    const net::Identity root = *net::Identity::generate(), member = *net::Identity::generate(),
                        stranger = *net::Identity::generate();
    std::vector<std::string> seen;
    std::unique_ptr<ControlServer> server;
    const net::KeyCheck is_root = [this](std::string_view key) { return key == root.fingerprint(); };
};

TEST_F(ControlServerTest, HandsOverWhoIsVerified) {
    Result<void> control, join, refused;
    const auto header = proxy_header("192.0.2.7:5000");
    asio::co_spawn(loop, come(*net::tls_client(member, std::string(control_alpn), is_root), header, control),
                   test::rethrow);
    asio::co_spawn(loop,
                   come(*net::tls_client_with_secret(std::string(join_alpn), "one", Bytes(32, 1)),
                        proxy_header("[2001:db8::7]:5000"), join),
                   test::rethrow);
    asio::co_spawn(loop,
                   come(*net::tls_client(stranger, std::string(control_alpn), is_root),
                        proxy_header("198.51.100.9:1"), refused),
                   test::rethrow);
    asio::co_spawn(loop,
                   finish_when([this] { return seen.size() == 2 && server->counters().bad_handshake == 1; }),
                   test::rethrow);
    loop.run();
    EXPECT_TRUE(control);
    EXPECT_TRUE(join);
    std::ranges::sort(seen);
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0], "p2prc-control/1 " + member.fingerprint() + " 192.0.2.7:5000");
    EXPECT_EQ(seen[1], "p2prc-join/1 one [2001:db8::7]:5000");
}

TEST_F(ControlServerTest, NoDescriptorIsLeftBehind) {
    const auto open_now = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    const auto before = open_now();
    std::array<Result<void>, 2> verified, refused;
    for (std::size_t i = 0; i < 2; ++i) {
        const auto network = "10." + std::to_string(i);
        auto known = *net::tls_client(member, std::string(control_alpn), is_root);
        auto unknown = *net::tls_client(stranger, std::string(control_alpn), is_root);
        asio::co_spawn(loop,
                       come(std::move(known), proxy_header((network + ".1.1:5000").c_str()), verified[i]),
                       test::rethrow);
        asio::co_spawn(loop,
                       come(std::move(unknown), proxy_header((network + ".2.1:5000").c_str()), refused[i]),
                       test::rethrow);
    }
    // Ends before the header, in it, and with another one.
    for (const std::size_t size : {0u, 5u}) {
        const auto fd = connect();
        const auto header = proxy_header("192.0.2.9:5000");
        ASSERT_EQ(::send(fd.get(), header.data(), size, 0), static_cast<ssize_t>(size));
    }
    const auto other = connect();
    ASSERT_GT(::send(other.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 0);
    std::ptrdiff_t after = 0;
    const auto all_gone = [&] {
        after = open_now();
        return server->counters().accepted == 7 && after == before + 1; // our end of `other`
    };
    asio::co_spawn(loop, finish_when(all_gone), test::rethrow);
    loop.run();
    EXPECT_EQ(last.accepted, 7U);
    EXPECT_EQ(after, before + 1);
    EXPECT_EQ(seen.size(), 2U);
}

TEST_F(ControlServerTest, StrangersMakeRoom) {
    std::vector<net::UniqueFd> idle;
    const auto come_silently = [&](const std::string& source) {
        idle.push_back(connect());
        const auto header = proxy_header(source.c_str());
        ASSERT_GT(::send(idle.back().get(), header.data(), header.size(), 0), 0);
    };
    for (int i = 0; i < 40; ++i)
        come_silently("[2001:db8:0:" + std::to_string(i) + "::7]:5000");
    for (int i = 0; i < 4; ++i)
        come_silently("192.0.2." + std::to_string(i) + ":5000");
    for (int i = 0; i < 10; ++i)
        idle.push_back(connect());
    idle.push_back(connect());
    ASSERT_GT(::send(idle.back().get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 0);
    Result<void> control;
    asio::co_spawn(loop,
                   come(*net::tls_client(member, std::string(control_alpn), is_root),
                        proxy_header("192.0.2.200:5000"), control),
                   test::rethrow);
    // While its handshake is under way, more come.
    asio::post(loop, [&] {
        for (int i = 100; i < 140; ++i)
            come_silently("[2001:db8:0:" + std::to_string(i) + "::7]:5000");
    });
    asio::co_spawn(loop,
                   finish_when([this] { return seen.size() == 1 && server->counters().accepted == 96; }),
                   test::rethrow);
    loop.run();
    EXPECT_TRUE(control);
    EXPECT_EQ(seen.size(), 1U);
    EXPECT_GE(last.displaced, 80U);
}

} // namespace
} // namespace p2prc::link
