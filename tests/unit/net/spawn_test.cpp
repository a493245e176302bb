#include "net/asio.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include <stdexcept>

namespace p2prc::net {
namespace {

namespace asio = boost::asio;

TEST(SpawnTest, ALoopThatThrowsIsRunAgain) {
    asio::io_context context;
    int runs = 0;
    auto once = [&]() -> asio::awaitable<void> {
        if (++runs < 2) throw std::runtime_error("a fault of run 1");
        co_return;
    };
    testing::internal::CaptureStderr();
    spawn_loop(context.get_executor(), "counting", once);
    context.run();
    EXPECT_EQ(runs, 2);
    const auto said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("counting failed and restarts in 1 s: a fault of run 1"), std::string::npos) << said;
}

TEST(SpawnTest, ATaskThatThrowsIsReportedAndEndsNothingElse) {
    asio::io_context context;
    bool other = false;
    auto fail = []() -> asio::awaitable<void> {
        throw std::runtime_error("out of luck");
        co_return;
    };
    auto go_on = [&]() -> asio::awaitable<void> {
        other = true;
        co_return;
    };
    testing::internal::CaptureStderr();
    asio::co_spawn(context, fail(), ReportFailure("a test"));
    asio::co_spawn(context, go_on(), ReportFailure("another test"));
    context.run();
    EXPECT_TRUE(other);
    const auto said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("a test failed: out of luck"), std::string::npos) << said;
    EXPECT_EQ(said.find("another test"), std::string::npos) << said;
}

TEST(SpawnTest, ACancelledOperationIsNoFailure) {
    testing::internal::CaptureStderr();
    ReportFailure("a test")(
        std::make_exception_ptr(boost::system::system_error(asio::error::operation_aborted)));
    ReportFailure("a test")(nullptr);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

} // namespace
} // namespace p2prc::net
