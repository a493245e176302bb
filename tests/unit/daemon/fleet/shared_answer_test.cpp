// Who gets which answer, and that all who wait get one.
#include "daemon/fleet/shared_answer.h"
#include "net/event.h"
#include "tests/unit/support/rethrow.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class SharedAnswerTest : public testing::Test {
  protected:
    // Asks at the next run of the loop; what comes of it is in `answers`.
    void ask() {
        const auto question = [this]() -> asio::awaitable<void> {
            try {
                const auto answer = co_await shared.get([this] { return answer_once(); });
                answers.push_back(answer ? answer->dump() : answer.error().message);
            } catch (const std::runtime_error& error) {
                answers.emplace_back(error.what());
            }
        };
        asio::co_spawn(loop, question, test::rethrow);
    }
    asio::awaitable<Result<Json>> answer_once() {
        const Json number = ++asked;
        co_await let_answer.wait();
        if (std::exchange(throws, false)) throw std::runtime_error("it fails inside");
        co_return number;
    }
    void run() {
        loop.restart();
        loop.poll();
    }

    asio::io_context loop;
    std::chrono::milliseconds fresh = 1h;
    SharedAnswer shared{loop.get_executor(), fresh};
    net::Event let_answer{loop.get_executor()};
    int asked = 0;
    bool throws = false;
    std::vector<std::string> answers;
};

TEST_F(SharedAnswerTest, OneQuestionIsAskedForAll) {
    for (int i = 0; i < 3; ++i)
        ask();
    run();
    EXPECT_TRUE(answers.empty());
    let_answer.set();
    run();
    ask();
    run();
    EXPECT_THAT(answers, testing::ElementsAre("1", "1", "1", "1"));
    EXPECT_EQ(asked, 1);
}

TEST_F(SharedAnswerTest, WhenAQuestionFailsInsideNobodyWaits) {
    throws = true;
    for (int i = 0; i < 3; ++i)
        ask();
    run();
    let_answer.set();
    run();
    EXPECT_THAT(answers, testing::UnorderedElementsAre("it fails inside", "the question failed",
                                                       "the question failed"));
    // That was no answer: the next one is asked for.
    answers.clear();
    ask();
    let_answer.set();
    run();
    EXPECT_THAT(answers, testing::ElementsAre("2"));
}

} // namespace
} // namespace p2prc::daemon
