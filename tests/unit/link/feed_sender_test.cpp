#include "link/feed_sender.h"
#include "tests/unit/link/session_pair.h"
#include "tests/unit/link/step_of.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace p2prc::link {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// More than a session may hold for a peer that does not read.
state::FeedEvent large_state() {
    state::FeedEvent event{true, "store", 9, {}};
    for (int i = 0; i < 100; ++i)
        event.items.push_back({"/status/home1/" + std::to_string(i), Json(std::string(900 << 10, 'x')), 9});
    return event;
}

class FeedSenderTest : public testing::Test {
  protected:
    asio::awaitable<void> wait_until(std::function<bool()> condition) {
        asio::steady_timer timer(loop);
        for (int i = 0; i < 4000 && !condition(); ++i) {
            timer.expires_after(5ms);
            co_await timer.async_wait(asio::use_awaitable);
            most_unsent = std::max(most_unsent, pair.left->unsent());
        }
    }
    void serve_left() {
        SessionHandlers none;
        asio::co_spawn(loop, pair.left->run(std::move(none)), test::rethrow);
    }
    void close() {
        pair.left->close();
        pair.right->close();
    }

    asio::io_context loop;
    SessionPair pair{loop};
    std::shared_ptr<FeedSender> sender = std::make_shared<FeedSender>(loop.get_executor(), pair.left);
    std::size_t most_unsent = 0;
};

TEST_F(FeedSenderTest, AStateLargerThanAllThatMayWaitArrives) {
    serve_left();
    FeedReader reader;
    std::optional<state::FeedEvent> state;
    std::vector<std::string> order;
    SessionHandlers reading;
    reading.event = [&](const Json& event) {
        if (event["event"] != "reset" && event["event"] != "changes") {
            order.push_back(event["event"]);
            return;
        }
        auto taken = reader.take(event);
        ASSERT_TRUE(taken);
        if (!*taken) return;
        order.push_back((*taken)->reset ? "reset" : "changes");
        if ((*taken)->reset) state = std::move(**taken);
    };
    asio::co_spawn(loop, pair.right->run(std::move(reading)), test::rethrow);
    const auto feed = [&]() -> asio::awaitable<void> {
        sender->push(step_of(large_state()));
        sender->push(step_of({false, "store", 10, {{"/processes/a", Json("a"), 10}}}));
        co_await sender->caught_up();
        pair.left->send(Json{{"event", "answer"}});
        sender->push(Json{{"event", "synced"}});
        co_await wait_until([&] { return order.size() == 4; });
        close();
    };
    asio::co_spawn(loop, feed(), test::rethrow);
    loop.run();
    EXPECT_EQ(order, (std::vector<std::string>{"reset", "changes", "answer", "synced"}));
    ASSERT_TRUE(state);
    EXPECT_EQ(state->items.size(), 100U);
    EXPECT_LT(most_unsent, 4U << 20);
}

TEST_F(FeedSenderTest, APeerThatDoesNotReadHoldsLittle) {
    serve_left();
    const auto feed = [&]() -> asio::awaitable<void> {
        sender->push(step_of(large_state()));
        for (std::uint64_t i = 0; i < 200; ++i)
            sender->push(step_of({false, "store", 10 + i, {{"/processes/a", Json(i), 10 + i}}}));
        asio::steady_timer timer(loop, 100ms);
        co_await timer.async_wait(asio::use_awaitable);
        EXPECT_FALSE(pair.left->closed());
        EXPECT_LT(pair.left->unsent(), 2U << 20);
        close();
        co_await sender->caught_up();
    };
    asio::co_spawn(loop, feed(), test::rethrow);
    loop.run();
}

TEST_F(FeedSenderTest, APeerForWhichManyLargeChangesWaitIsCutOff) {
    serve_left();
    const auto feed = [&]() -> asio::awaitable<void> {
        std::uint64_t pushed = 0;
        for (; pushed < 60 && !pair.left->closed(); ++pushed)
            sender->push(step_of(
                {false, "store", 10 + pushed, {{"/status/home1/1", Json(std::string(900 << 10, 'x')), 10}}}));
        EXPECT_TRUE(pair.left->closed());
        EXPECT_GT(pushed, 30U);
        co_await sender->caught_up();
        close();
    };
    asio::co_spawn(loop, feed(), test::rethrow);
    loop.run();
}

TEST_F(FeedSenderTest, APeerThatReadsIsNotCutOffHoweverMuchItIsSent) {
    serve_left();
    SessionHandlers reading;
    asio::co_spawn(loop, pair.right->run(std::move(reading)), test::rethrow);
    const auto feed = [&]() -> asio::awaitable<void> {
        for (std::uint64_t i = 0; i < 80; ++i) {
            sender->push(step_of(
                {false, "store", 10 + i, {{"/status/home1/1", Json(std::string(900 << 10, 'x')), 10}}}));
            if (i % 10 == 9) co_await sender->caught_up();
        }
        EXPECT_FALSE(pair.left->closed());
        close();
    };
    asio::co_spawn(loop, feed(), test::rethrow);
    loop.run();
}

} // namespace
} // namespace p2prc::link
