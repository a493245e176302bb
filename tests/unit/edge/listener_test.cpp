#include "edge/listen/listener.h"
#include "edge/relay/target.h"
#include "tests/unit/edge/hello_builder.h"
#include "tests/unit/support/eventually.h"

#include <arpa/inet.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <thread>
#include <vector>

using namespace p2prc;
using namespace p2prc::edge;
namespace build = p2prc::edge::testing;
using namespace std::chrono_literals;

namespace {

struct Received final : ConnectionHandler {
    void on_hello(Connection, ClientHello hello) override { hellos.push_back(hello.name); }
    void on_refused_hello(Connection, HelloRefusal) override { ++refused; }
    void on_flow(Connection) override {}
    void on_request(Connection, Protocol, const HttpRequest&) override {}
    void on_refused_request(Connection, int) override {}
    std::vector<std::string> hellos;
    int refused = 0;
};

// A stranger with an address of his own in 127.0.0.0/8, whose sockets do not block.
class Stranger {
  public:
    Stranger(std::uint16_t port, std::uint8_t last)
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const auto from = Target::of({net::Address::v4({127, 0, 1, last}), 0});
        EXPECT_EQ(bind(socket_.get(), from.address(), from.size), 0);
        const auto to = Target::of({net::Address::v4({127, 0, 0, 1}), port});
        EXPECT_EQ(connect(socket_.get(), to.address(), to.size), 0);
        fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    }
    void say(std::string_view bytes) {
        EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    bool closed() const {
        char byte = 0;
        const auto got = recv(socket_.get(), &byte, 1, MSG_PEEK);
        return got == 0 || (got < 0 && errno != EAGAIN);
    }

  private:
    net::UniqueFd socket_;
};

class ListenerTest : public ::testing::Test {
  protected:
    void open(ListenerOptions options) {
        listener.emplace(poller, options, handler, counters);
        auto socket = open_listener({net::Address::v4({127, 0, 0, 1}), 0});
        ASSERT_TRUE(socket) << socket.error().message;
        port = net::local_endpoint(socket->get()).port;
        ASSERT_TRUE(listener->listen(std::move(*socket), Protocol::Tls));
    }
    Stranger stranger(std::uint8_t last) {
        const auto before = counters.accepted;
        Stranger one(port, last);
        EXPECT_TRUE(test::eventually(io, [&] { return counters.accepted > before; }));
        return one;
    }

    boost::asio::io_context io{1};
    tunnel::Poller poller{io.get_executor()};
    Received handler;
    Counters counters;
    std::uint16_t port = 0;
    std::optional<Listener> listener;
};

TEST_F(ListenerTest, WhoHasWaitedLongestMakesRoomForANewcomer) {
    ListenerOptions options;
    options.waiting = 3;
    open(options);
    const Stranger first = stranger(1), second = stranger(2), third = stranger(3);
    Stranger newcomer = stranger(4);
    newcomer.say(build::hello("app.home.example"));
    EXPECT_TRUE(test::eventually(io, [&] { return handler.hellos.size() == 1; }));
    EXPECT_TRUE(first.closed());
    EXPECT_FALSE(second.closed());
    EXPECT_FALSE(third.closed());
    EXPECT_EQ(listener->waiting(), 2u);
    EXPECT_EQ(counters.over_limit, 1u);
}

TEST_F(ListenerTest, OfAnAddressThatHasItsShareTheOldestMakesRoom) {
    ListenerOptions options;
    options.waiting = 4;
    options.waiting_per_address = 2;
    open(options);
    const Stranger other = stranger(2), first = stranger(1), second = stranger(1);
    Stranger newcomer = stranger(1);
    newcomer.say(build::hello("app.home.example"));
    EXPECT_TRUE(test::eventually(io, [&] { return handler.hellos.size() == 1; }));
    EXPECT_TRUE(first.closed());
    EXPECT_FALSE(second.closed());
    EXPECT_FALSE(other.closed());
}

TEST_F(ListenerTest, WhoHoldsMostBytesMakesRoomForOthers) {
    const std::string hello = build::hello("app.home.example");
    ListenerOptions options;
    options.waiting_bytes = hello.size() + 1000;
    open(options);
    const Stranger silent = stranger(1);
    Stranger hoarder = stranger(2);
    hoarder.say(build::record(build::message(build::extension(21, std::string(4000, '\0')))).substr(0, 1000));
    Stranger small = stranger(3);
    small.say(std::string_view(hello).substr(0, 10));
    Stranger newcomer = stranger(4);
    newcomer.say(hello);
    EXPECT_TRUE(test::eventually(io, [&] { return handler.hellos.size() == 1; }));
    EXPECT_TRUE(hoarder.closed());
    EXPECT_FALSE(silent.closed());
    EXPECT_FALSE(small.closed());
    EXPECT_EQ(counters.over_bytes, 1u);
}

// systemd holds the sockets that it passes on: they stay open, and ready, when the edge has closed its own.
TEST_F(ListenerTest, WhoComesToASocketThatItNoLongerAcceptsFromIsLeftAlone) {
    auto socket = open_listener({net::Address::v4({127, 0, 0, 1}), 0});
    ASSERT_TRUE(socket) << socket.error().message;
    port = net::local_endpoint(socket->get()).port;
    const net::UniqueFd of_systemd(fcntl(socket->get(), F_DUPFD_CLOEXEC, 3));
    listener.emplace(poller, ListenerOptions{}, handler, counters);
    ASSERT_TRUE(listener->listen(std::move(*socket), Protocol::Tls));
    listener->stop_accepting();
    io.poll();
    const Stranger late(port, 1);
    for (int i = 0; i < 5; ++i) {
        io.restart();
        io.poll();
    }
    EXPECT_EQ(counters.accepted, 0u);
    EXPECT_FALSE(late.closed());
}

// The end of the pause may be due, and its handler queued behind others, when the doors are closed.
TEST_F(ListenerTest, AcceptingMayStopWhileItPauses) {
    open({});
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const net::UniqueFd keep(ends[1]);
    boost::asio::posix::stream_descriptor told(io, ends[0]);
    told.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const auto&) { listener.reset(); });
    const Stranger waits(port, 1);
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none{3, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    EXPECT_TRUE(test::eventually(io, [&] { return counters.no_descriptors > 0; }));
    setrlimit(RLIMIT_NOFILE, &before);
    // All in one turn of the loop, in this order: the doors close, the poller turns, the pause is over.
    ASSERT_EQ(write(keep.get(), "x", 1), 1);
    const Stranger last(port, 3);
    bool pause_over = false;
    boost::asio::steady_timer longer_pause(io, 150ms);
    longer_pause.async_wait([&](const auto&) { pause_over = true; });
    std::this_thread::sleep_until(longer_pause.expiry());
    EXPECT_TRUE(test::eventually(io, [&] { return pause_over; }));
    EXPECT_FALSE(listener);
    EXPECT_EQ(counters.accepted, 0u);
}

} // namespace
