#include "net/one_shot_timer.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace p2prc::net {
namespace {

using namespace std::chrono_literals;

TEST(OneShotTimer, RunsOnceHoweverOftenItIsArmed) {
    boost::asio::io_context loop;
    OneShotTimer timer(loop.get_executor());
    int runs = 0;
    for (int i = 0; i < 3; ++i)
        timer.arm(1ms, [&] { ++runs; });
    EXPECT_TRUE(timer.armed());
    loop.run();
    EXPECT_EQ(runs, 1);
    EXPECT_FALSE(timer.armed());
}

TEST(OneShotTimer, CanBeArmedAgainFromItsCallback) {
    boost::asio::io_context loop;
    OneShotTimer timer(loop.get_executor());
    int runs = 0;
    const auto again = [&](const auto& self) -> void {
        if (++runs < 3) timer.arm(1ms, [&, self] { self(self); });
    };
    timer.arm(1ms, [&] { again(again); });
    loop.run();
    EXPECT_EQ(runs, 3);
}

TEST(OneShotTimer, CancelledItCanBeArmedAnew) {
    boost::asio::io_context loop;
    OneShotTimer timer(loop.get_executor());
    int first = 0, second = 0;
    timer.arm(1ms, [&] { ++first; });
    timer.cancel();
    EXPECT_FALSE(timer.armed());
    timer.arm(1ms, [&] { ++second; });
    loop.run();
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, 1);
}

// Asio queues the handlers of all timers whose time has come before it runs the first of them.
TEST(OneShotTimer, DestroyedRunsNothingThatWasQueuedAlready) {
    boost::asio::io_context loop;
    auto doomed = std::make_unique<OneShotTimer>(loop.get_executor());
    OneShotTimer killer(loop.get_executor());
    int runs = 0;
    killer.arm(0ms, [&] { doomed.reset(); });
    doomed->arm(0ms, [&] { ++runs; });
    std::this_thread::sleep_for(1ms); // both are due before the loop looks
    loop.run();
    EXPECT_EQ(runs, 0);
}

} // namespace
} // namespace p2prc::net
