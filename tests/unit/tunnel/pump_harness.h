// Pumps on a loop of their own between real sockets whose other ends the test holds.
#pragma once

#include "tests/unit/support/uninterrupted.h"
#include "tunnel/pumps.h"

#include <arpa/inet.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace p2prc::tunnel {

using namespace std::chrono_literals;

struct Pair {
    net::UniqueFd ours;   // blocking, the test's
    net::UniqueFd pumped; // non-blocking
};

inline void give_up_after(int fd, std::chrono::seconds time) {
    const timeval limit{.tv_sec = time.count(), .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

inline Pair tcp_pair() {
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

inline Pair unix_pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Pair pair{net::UniqueFd(ends[0]), net::UniqueFd(ends[1])};
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    give_up_after(pair.ours.get(), 20s);
    return pair;
}

inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    std::uint32_t state = 1;
    for (auto& byte : text) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<char>(state >> 24);
    }
    return text;
}

inline void send_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const auto sent =
            p2prc::test::uninterrupted([&] { return send(fd, data.data(), data.size(), MSG_NOSIGNAL); });
        ASSERT_GT(sent, 0) << std::strerror(errno);
        data.remove_prefix(static_cast<std::size_t>(sent));
    }
}

inline void send_and_finish(int fd, const std::string& data) {
    send_all(fd, data);
    shutdown(fd, SHUT_WR);
}

// Until the end of the stream; nothing when it ends with an error.
inline std::optional<std::string> receive_all(int fd) {
    std::string all;
    std::string chunk(1 << 16, '\0');
    for (;;) {
        const auto got = p2prc::test::uninterrupted([&] { return recv(fd, chunk.data(), chunk.size(), 0); });
        if (got < 0) return std::nullopt;
        if (got == 0) return all;
        all.append(chunk, 0, static_cast<std::size_t>(got));
    }
}

inline std::string receive(int fd, std::size_t size) {
    std::string data(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        const auto got =
            p2prc::test::uninterrupted([&] { return recv(fd, data.data() + have, size - have, 0); });
        if (got <= 0) break;
        have += static_cast<std::size_t>(got);
    }
    data.resize(have);
    return data;
}

inline void reset_on_close(net::UniqueFd& fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd.reset();
}

// The pumps and their loop on a thread of their own, as in a program.
class PumpTest : public testing::Test {
  protected:
    PumpTest() { std::signal(SIGPIPE, SIG_IGN); } // splice(2) has no MSG_NOSIGNAL
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
        if (future.wait_for(60s) != std::future_status::ready) {
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

} // namespace p2prc::tunnel
