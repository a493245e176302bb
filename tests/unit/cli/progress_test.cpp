#include "cli/progress.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

namespace p2prc::cli {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::json;

Json web(const Json& waits_for) {
    return {{"name", "web"}, {"state", "deploying"}, {"waits_for", waits_for}};
}

TEST(Progress, IsWhatAProcessLacks) {
    EXPECT_EQ(progress_words(web("the deployer 'image' prepares it")),
              "'web' is deploying: the deployer 'image' prepares it");
    EXPECT_EQ(progress_words(web(nullptr)), "");
    EXPECT_EQ(progress_words(Json::object()), "");
    EXPECT_LT(progress_words(web(std::string(70'000, 'x'))).size(), 300U);
}

// Each once, in a row, and no more once the work is done.
TEST(Progress, IsToldWhenItChanges) {
    std::deque<Result<Json>> looks{fail(ErrorCode::NotFound, "there is no process 'web'"),
                                   web("a"),
                                   web("a"),
                                   web(nullptr),
                                   web("a"),
                                   web("b"),
                                   fail(ErrorCode::Unreachable, "p2prcd is restarted"),
                                   web("a")};
    asio::io_context io;
    const auto all_seen = std::make_shared<asio::steady_timer>(io, asio::steady_timer::time_point::max());
    const auto look = [&looks, all_seen]() -> asio::awaitable<Result<Json>> {
        auto next = std::move(looks.front());
        looks.pop_front();
        if (looks.empty()) {
            looks.push_back(next);
            all_seen->cancel();
        }
        co_return next;
    };
    std::vector<std::string> told;
    const auto tell = [&told](const std::string& words) { told.push_back(words); };
    const auto work = [](std::shared_ptr<asio::steady_timer> until) -> asio::awaitable<Result<int>> {
        boost::system::error_code ignored;
        co_await until->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_return 7;
    };
    std::optional<Result<int>> result;
    auto both = beside(tell_progress(look, tell, std::chrono::milliseconds(1)), work(all_seen));
    asio::co_spawn(io, std::move(both), [&result](std::exception_ptr exception, Result<int> value) {
        EXPECT_FALSE(exception);
        result = std::move(value);
    });
    io.run();
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->value(), 7);
    told.resize(std::min<std::size_t>(told.size(), 3));
    EXPECT_THAT(told, testing::ElementsAre("'web' is deploying: a", "'web' is deploying: b",
                                           "'web' is deploying: a"));
}

} // namespace
} // namespace p2prc::cli
