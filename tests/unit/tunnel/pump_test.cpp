// The byte pump between real sockets: both ways, half-closed, reset, stalled, idle, and short of pipes.
#include "tunnel/pumps.h"
#include "tunnel/socket_options.h"

#include <arpa/inet.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace p2prc::tunnel {
namespace {

using namespace std::chrono_literals;

struct Pair {
    net::UniqueFd ours;   // blocking, the test's
    net::UniqueFd pumped; // non-blocking
};

void give_up_after(int fd, std::chrono::seconds time) {
    const timeval limit{.tv_sec = time.count(), .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Pair tcp_pair() {
    const net::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener.get(), generic, size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    EXPECT_EQ(getsockname(listener.get(), generic, &size), 0);
    Pair pair;
    pair.ours.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(pair.ours.get(), generic, size), 0);
    pair.pumped.reset(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EXPECT_TRUE(pair.pumped);
    give_up_after(pair.ours.get(), 20s);
    return pair;
}

Pair unix_pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Pair pair{net::UniqueFd(ends[0]), net::UniqueFd(ends[1])};
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    give_up_after(pair.ours.get(), 20s);
    return pair;
}

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    std::uint32_t state = 1;
    for (auto& byte : text) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<char>(state >> 24);
    }
    return text;
}

void send_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const auto sent = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
        ASSERT_GT(sent, 0) << std::strerror(errno);
        data.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void send_and_finish(int fd, const std::string& data) {
    send_all(fd, data);
    shutdown(fd, SHUT_WR);
}

// Until the end of the stream; nothing when it ends with an error.
std::optional<std::string> receive_all(int fd) {
    std::string all;
    std::string chunk(1 << 16, '\0');
    for (;;) {
        const auto got = recv(fd, chunk.data(), chunk.size(), 0);
        if (got < 0) return std::nullopt;
        if (got == 0) return all;
        all.append(chunk, 0, static_cast<std::size_t>(got));
    }
}

std::string receive(int fd, std::size_t size) {
    std::string data(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        const auto got = recv(fd, data.data() + have, size - have, 0);
        if (got <= 0) break;
        have += static_cast<std::size_t>(got);
    }
    data.resize(have);
    return data;
}

void reset_on_close(net::UniqueFd& fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd.reset();
}

// The pumps and their loop on a thread of their own, as in a program.
class PumpTest : public testing::Test {
  protected:
    ~PumpTest() override {
        if (!thread_.joinable()) return;
        on_loop([this] {
            pumps_.reset();
            poller_.reset();
            context_.stop();
        });
        thread_.join();
    }

    void open(PumpOptions options = {}) {
        poller_.emplace(context_.get_executor());
        pumps_.emplace(*poller_, options);
        thread_ = std::thread([this] { context_.run(); });
    }

    template <class Function>
    void on_loop(Function function) {
        std::promise<void> done;
        boost::asio::post(context_, [&] {
            function();
            done.set_value();
        });
        done.get_future().wait();
    }

    std::future<PumpResult> start(Pair& left, Pair& right, std::string to_b = {}, std::uint32_t group = 0) {
        auto result = std::make_shared<std::promise<PumpResult>>();
        auto future = result->get_future();
        on_loop([&] {
            PumpSockets sockets;
            sockets.a = std::move(left.pumped);
            sockets.b = std::move(right.pumped);
            sockets.to_b = std::move(to_b);
            sockets.group = group;
            pumps_->start(std::move(sockets), [result](const PumpResult& end) { result->set_value(end); });
        });
        return future;
    }

    static PumpResult end_of(std::future<PumpResult>& future) {
        if (future.wait_for(20s) != std::future_status::ready) {
            ADD_FAILURE() << "the pump does not end";
            return {};
        }
        return future.get();
    }

    boost::asio::io_context context_;
    std::optional<Poller> poller_;
    std::optional<Pumps> pumps_;
    std::thread thread_;
};

TEST_F(PumpTest, CarriesBothWaysAndTheHeadFirst) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right, "head ");
    send_all(left.ours.get(), "question");
    EXPECT_EQ(receive(right.ours.get(), 13), "head question");
    send_all(right.ours.get(), "answer");
    EXPECT_EQ(receive(left.ours.get(), 6), "answer");
    left.ours.reset();
    EXPECT_EQ(receive_all(right.ours.get()), "");
    right.ours.reset();
    const auto end = end_of(result);
    EXPECT_EQ(end.end, PumpEnd::Finished);
    EXPECT_EQ(end.a_to_b, 13u);
    EXPECT_EQ(end.b_to_a, 6u);
}

TEST_F(PumpTest, HalfCloseIsCarriedThroughAndTheReplyComesBack) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    send_and_finish(left.ours.get(), "request");
    EXPECT_EQ(receive_all(right.ours.get()), "request");
    const auto reply = pattern(3 << 20);
    std::thread server([&] {
        send_all(right.ours.get(), reply);
        right.ours.reset();
    });
    EXPECT_TRUE(receive_all(left.ours.get()) == reply);
    server.join();
    left.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, TheServerMayCloseItsHalfFirst) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    shutdown(right.ours.get(), SHUT_WR);
    EXPECT_EQ(receive_all(left.ours.get()), "");
    send_all(left.ours.get(), "still heard");
    EXPECT_EQ(receive(right.ours.get(), 11), "still heard");
    left.ours.reset();
    EXPECT_EQ(receive_all(right.ours.get()), "");
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, AGroupEndsTogetherAndAloneWithAReset) {
    open();
    std::vector<Pair> left, right;
    std::vector<std::future<PumpResult>> results;
    for (const std::uint32_t group : {1u, 2u, 1u}) {
        left.push_back(tcp_pair());
        right.push_back(tcp_pair());
        results.push_back(start(left.back(), right.back(), {}, group));
        send_all(left.back().ours.get(), "x");
        EXPECT_EQ(receive(right.back().ours.get(), 1), "x");
    }
    on_loop([this] { pumps_->stop(1); });
    for (const std::size_t i : {0u, 2u}) {
        EXPECT_EQ(end_of(results[i]).end, PumpEnd::Stopped);
        for (const int end : {left[i].ours.get(), right[i].ours.get()}) {
            char byte = 0;
            EXPECT_EQ(recv(end, &byte, 1, 0), -1);
            EXPECT_EQ(errno, ECONNRESET);
        }
    }
    send_all(right[1].ours.get(), "y");
    EXPECT_EQ(receive(left[1].ours.get(), 1), "y");
}

TEST_F(PumpTest, ManyMegabytesBothWaysAtOnceStayInOrder) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto up = pattern(24 << 20), down = pattern(17 << 20);
    std::thread up_writer(send_and_finish, left.ours.get(), std::cref(up));
    std::thread down_writer(send_and_finish, right.ours.get(), std::cref(down));
    std::optional<std::string> received;
    std::thread reader([&] { received = receive_all(right.ours.get()); });
    EXPECT_TRUE(receive_all(left.ours.get()) == down);
    reader.join();
    up_writer.join();
    down_writer.join();
    EXPECT_TRUE(received == up);
    const auto end = end_of(result);
    EXPECT_EQ(end.end, PumpEnd::Finished);
    EXPECT_EQ(end.a_to_b, up.size());
    EXPECT_EQ(end.b_to_a, down.size());
}

TEST_F(PumpTest, SinglesAndOddSizesPass) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(300'000);
    std::thread writer([&] {
        std::size_t at = 0, size = 1;
        while (at < data.size()) {
            const auto now = std::min(size, data.size() - at);
            send_all(left.ours.get(), std::string_view(data).substr(at, now));
            at += now;
            size = size * 3 % 50'021 + 1;
        }
        shutdown(left.ours.get(), SHUT_WR);
    });
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, AResetIsCarriedThroughEitherWay) {
    open();
    for (const bool from_left : {true, false}) {
        auto left = tcp_pair(), right = tcp_pair();
        auto result = start(left, right);
        send_all(left.ours.get(), "x");
        EXPECT_EQ(receive(right.ours.get(), 1), "x");
        auto& breaking = from_left ? left.ours : right.ours;
        auto& other = from_left ? right.ours : left.ours;
        reset_on_close(breaking);
        char byte = 0;
        EXPECT_EQ(recv(other.get(), &byte, 1, 0), -1);
        EXPECT_EQ(errno, ECONNRESET);
        EXPECT_EQ(end_of(result).end, PumpEnd::Reset);
    }
}

TEST_F(PumpTest, AResetAfterAHalfCloseIsCarriedThrough) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    shutdown(left.ours.get(), SHUT_WR);
    EXPECT_EQ(receive_all(right.ours.get()), "");
    reset_on_close(left.ours);
    pollfd gone{.fd = right.ours.get(), .events = 0, .revents = 0};
    EXPECT_EQ(poll(&gone, 1, 20'000), 1);
    EXPECT_TRUE(gone.revents & POLLERR);
    EXPECT_EQ(end_of(result).end, PumpEnd::Reset);
}

TEST_F(PumpTest, WhatAServerSaidBeforeItsResetArrives) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    // More than the server reads: closing with unread bytes makes its kernel send a reset.
    const auto body = pattern(200'000);
    send_all(left.ours.get(), body);
    EXPECT_EQ(receive(right.ours.get(), 100).size(), 100u);
    send_all(right.ours.get(), "413 too large");
    right.ours.reset();
    EXPECT_EQ(receive(left.ours.get(), 13), "413 too large");
    char byte = 0;
    EXPECT_EQ(recv(left.ours.get(), &byte, 1, 0), -1);
    EXPECT_EQ(end_of(result).end, PumpEnd::Reset);
}

TEST_F(PumpTest, AnIdleConnectionIsClosed) {
    open({.idle = 200ms, .half_closed = 10s});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    EXPECT_EQ(receive_all(left.ours.get()), "");
    EXPECT_EQ(receive_all(right.ours.get()), "");
    EXPECT_EQ(end_of(result).end, PumpEnd::IdleTimeout);
}

TEST_F(PumpTest, AHalfClosedConnectionHasALimitOfItsOwn) {
    open({.idle = 1h, .half_closed = 200ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    shutdown(left.ours.get(), SHUT_WR);
    EXPECT_EQ(receive_all(left.ours.get()), "");
    EXPECT_EQ(end_of(result).end, PumpEnd::HalfClosedTimeout);
}

// What the writer sends fills all buffers on the way: the last of it is with the pump or its kernel.
TEST_F(PumpTest, AHalfClosedConnectionLivesUntilTheReaderHasReadAll) {
    open({.idle = 1h, .half_closed = 200ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(8 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_EQ(result.wait_for(1s), std::future_status::timeout) << "it was cut while the reader paused";
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, AReaderThatPausesIsNotSilent) {
    open({.silence = 200ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(12 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_EQ(result.wait_for(2s), std::future_status::timeout) << "it was cut while the reader paused";
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

// Its kernel drops all that comes, as the network of a machine does that lost its power.
void fall_silent(int fd) {
    sock_filter drop{BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program{1, &drop};
    ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

TEST_F(PumpTest, AReaderThatIsGoneIsFoundByWhatItDoesNotAcknowledge) {
    open({.silence = 500ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    fall_silent(right.ours.get());
    send_all(left.ours.get(), "anybody there?");
    EXPECT_EQ(end_of(result).end, PumpEnd::Silence);
    char byte = 0;
    EXPECT_EQ(recv(left.ours.get(), &byte, 1, 0), -1);
}

TEST_F(PumpTest, AReaderThatIsGoneWithItsWindowClosedIsFoundByProbes) {
    open({.silence = 500ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(12 << 20);
    std::thread writer([&] {
        std::string_view rest = data;
        while (!rest.empty()) {
            const auto sent = send(left.ours.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;
            rest.remove_prefix(static_cast<std::size_t>(sent));
        }
    });
    // All buffers are full when nothing is moved any more.
    std::uint64_t before = 0, moved = 1;
    while (std::exchange(before, moved) != moved) {
        EXPECT_EQ(result.wait_for(300ms), std::future_status::timeout);
        on_loop([&] { moved = pumps_->bytes(); });
    }
    fall_silent(right.ours.get());
    EXPECT_EQ(end_of(result).end, PumpEnd::Silence);
    writer.join();
}

TEST(SocketOptions, DataThatIsNotReadEndsNoConnection) {
    const auto pair = tcp_pair();
    set_flow_options(pair.pumped.get());
    int milliseconds = -1;
    socklen_t size = sizeof milliseconds;
    ASSERT_EQ(getsockopt(pair.pumped.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, &size), 0);
    EXPECT_EQ(milliseconds, 0);
}

TEST_F(PumpTest, StalledReadersUseUpThePipesAndTheRestStillMoves) {
    open({.pipes = 2, .small_pipes = 2});
    const auto data = pattern(12 << 20);
    struct Flow {
        Pair left = tcp_pair(), right = tcp_pair();
        std::future<PumpResult> result;
        std::thread writer;
    };
    std::vector<std::unique_ptr<Flow>> flows;
    for (int i = 0; i < 8; ++i) {
        auto flow = std::make_unique<Flow>();
        flow->result = start(flow->left, flow->right);
        flow->writer = std::thread(send_and_finish, flow->left.ours.get(), std::cref(data));
        flows.push_back(std::move(flow));
    }
    // The last first, so that those that hold the pipes stay stalled meanwhile.
    for (auto flow = flows.rbegin(); flow != flows.rend(); ++flow) {
        EXPECT_TRUE(receive_all((*flow)->right.ours.get()) == data);
        (*flow)->writer.join();
        (*flow)->right.ours.reset();
        EXPECT_EQ(end_of((*flow)->result).end, PumpEnd::Finished);
    }
}

TEST_F(PumpTest, PlainCopyWhereNoPipeMayBeHad) {
    open({.pipes = 0, .small_pipes = 0});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(8 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).a_to_b, data.size());
}

TEST_F(PumpTest, UnixSocketsToo) {
    open();
    auto left = tcp_pair();
    auto right = unix_pair();
    auto result = start(left, right, "PROXY");
    const auto data = pattern(5 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(right.ours.get()) == "PROXY" + data);
    writer.join();
    std::thread back(send_and_finish, right.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(left.ours.get()) == data);
    back.join();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, AnyNumberAtOnceAndStopEndsThem) {
    open();
    std::vector<Pair> pairs;
    std::vector<std::future<PumpResult>> results;
    for (int i = 0; i < 100; ++i) {
        auto left = tcp_pair(), right = tcp_pair();
        results.push_back(start(left, right));
        pairs.push_back(std::move(left));
        pairs.push_back(std::move(right));
    }
    send_all(pairs[0].ours.get(), "a");
    EXPECT_EQ(receive(pairs[1].ours.get(), 1), "a");
    on_loop([this] {
        EXPECT_EQ(pumps_->size(), 100u);
        pumps_->stop_all();
        EXPECT_EQ(pumps_->size(), 0u);
    });
    for (auto& result : results)
        EXPECT_EQ(end_of(result).end, PumpEnd::Stopped);
}

boost::asio::awaitable<void> run_one(Pumps& pumps, PumpSockets sockets, std::promise<PumpResult>& result) {
    const auto end = co_await pumps.run(std::move(sockets));
    result.set_value(end);
}

TEST_F(PumpTest, ACoroutineCanWaitForOne) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    std::promise<PumpResult> result;
    auto future = result.get_future();
    on_loop([&] {
        PumpSockets sockets;
        sockets.a = std::move(left.pumped);
        sockets.b = std::move(right.pumped);
        boost::asio::co_spawn(context_, run_one(*pumps_, std::move(sockets), result), boost::asio::detached);
    });
    send_all(left.ours.get(), "hello");
    EXPECT_EQ(receive(right.ours.get(), 5), "hello");
    left.ours.reset();
    right.ours.reset();
    EXPECT_EQ(end_of(future).a_to_b, 5u);
}

} // namespace
} // namespace p2prc::tunnel
