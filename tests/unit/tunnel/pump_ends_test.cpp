// How a pumped connection ends: by a reset, by being idle or half-closed for too long, by a far end that is
// gone, and never because somebody pauses.
#include "pump_harness.h"
#include "tunnel/socket_options.h"

#include <linux/filter.h>
#include <netinet/tcp.h>

namespace p2prc::tunnel {
namespace {

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
            EXPECT_EQ(p2prc::test::uninterrupted([&] { return recv(end, &byte, 1, 0); }), -1);
            EXPECT_EQ(errno, ECONNRESET);
        }
    }
    send_all(right[1].ours.get(), "y");
    EXPECT_EQ(receive(left[1].ours.get(), 1), "y");
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
        EXPECT_EQ(p2prc::test::uninterrupted([&] { return recv(other.get(), &byte, 1, 0); }), -1);
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
    EXPECT_EQ(p2prc::test::uninterrupted([&] { return poll(&gone, 1, 20'000); }), 1);
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
    EXPECT_EQ(p2prc::test::uninterrupted([&] { return recv(left.ours.get(), &byte, 1, 0); }), -1);
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
    // Now that all is read, its time runs.
    const auto end = end_of(result).end;
    EXPECT_TRUE(end == PumpEnd::Finished || end == PumpEnd::HalfClosedTimeout);
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
    EXPECT_EQ(p2prc::test::uninterrupted([&] { return recv(left.ours.get(), &byte, 1, 0); }), -1);
}

TEST_F(PumpTest, AReaderThatIsGoneWithItsWindowClosedIsFoundByProbes) {
    open({.silence = 500ms});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(12 << 20);
    std::thread writer([&] {
        std::string_view rest = data;
        while (!rest.empty()) {
            const auto sent = p2prc::test::uninterrupted(
                [&] { return send(left.ours.get(), rest.data(), rest.size(), MSG_NOSIGNAL); });
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

} // namespace
} // namespace p2prc::tunnel
