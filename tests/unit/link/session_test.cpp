#include "link/frame.h"
#include "net/event.h"
#include "tests/unit/link/session_pair.h"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

namespace p2prc::link {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Counts up; silent after `count` pieces when `follow`.
class Counting : public TextStream {
  public:
    Counting(asio::any_io_executor executor, int count, bool follow, int& alive)
        : event_(executor)
        , count_(count)
        , follow_(follow)
        , alive_(alive) {
        ++alive_;
    }
    ~Counting() override { --alive_; }
    asio::awaitable<Result<std::optional<std::string>>> next() override {
        if (at_ == count_ && follow_) co_await event_.wait();
        if (at_ == count_) co_return std::optional<std::string>();
        co_return std::optional(std::to_string(at_++));
    }

  private:
    net::Event event_;
    int count_, at_ = 0;
    bool follow_;
    int& alive_;
};

asio::awaitable<Result<Json>> answer(std::string method, Json params) {
    if (method == "echo") co_return params;
    if (method == "large") co_return Json{{"text", std::string(2 << 20, 'x')}};
    if (method == "throw") throw std::runtime_error("broken");
    co_return fail(ErrorCode::DomainTaken, "held by calendar on attic", "unmap it first");
}

asio::awaitable<Result<std::unique_ptr<TextStream>>> count(asio::any_io_executor executor, Json params,
                                                           int& alive) {
    if (!params.contains("count")) co_return fail(ErrorCode::NotFound, "nothing to count");
    std::unique_ptr<TextStream> stream =
        std::make_unique<Counting>(executor, params["count"].get<int>(), params.contains("follow"), alive);
    co_return std::move(stream);
}

class SessionTest : public testing::Test {
  protected:
    SessionTest() : pair(loop) {
        SessionHandlers handlers;
        handlers.request = [](std::string method, Json params) {
            return answer(std::move(method), std::move(params));
        };
        handlers.stream = [this](std::string, Json params) {
            return count(loop.get_executor(), std::move(params), alive);
        };
        handlers.event = [this](const Json& event) { events.push_back(event); };
        asio::co_spawn(loop, run(pair.left, std::move(handlers), left_end), test::rethrow);
        asio::co_spawn(loop, run(pair.right, SessionHandlers(), right_end), test::rethrow);
    }

    static asio::awaitable<void> run(std::shared_ptr<Session> session, SessionHandlers handlers,
                                     std::optional<Error>& end) {
        end = co_await session->run(std::move(handlers));
    }

    // Runs `body` to its end, and the loop with it.
    template <class Body>
    void play(Body body) {
        asio::co_spawn(loop, body(), [this](std::exception_ptr failure) {
            EXPECT_FALSE(failure);
            pair.left->close();
            pair.right->close();
        });
        loop.run();
        EXPECT_TRUE(left_end);
        EXPECT_TRUE(right_end);
    }

    asio::io_context loop;
    SessionPair pair;
    std::optional<Error> left_end, right_end;
    std::vector<Json> events;
    int alive = 0;
};

TEST_F(SessionTest, RequestsAreAnswered) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params{{"a", 1}};
        const auto echoed = co_await pair.right->request("echo", params);
        EXPECT_EQ(echoed, params);
        const auto refused = co_await pair.right->request("map", params);
        EXPECT_EQ(refused.error(),
                  (Error{ErrorCode::DomainTaken, "held by calendar on attic", "unmap it first"}));
        const auto large = co_await pair.right->request("large", params);
        EXPECT_EQ(large.error().code, ErrorCode::Failed);
        const auto thrown = co_await pair.right->request("throw", params);
        EXPECT_EQ(thrown.error().code, ErrorCode::Failed);
        const auto unknown = co_await pair.left->request("echo", params);
        EXPECT_EQ(unknown.error().code, ErrorCode::NotSupported);
        Json huge{{"text", std::string(2 << 20, 'x')}};
        const auto too_large = co_await pair.right->request("echo", huge);
        EXPECT_EQ(too_large.error().code, ErrorCode::InvalidSpec);
    };
    play(body);
}

TEST_F(SessionTest, EventsAndPingsArrive) {
    auto body = [this]() -> asio::awaitable<void> {
        Json event{{"event", "changes"}, {"n", 1}};
        pair.right->send(event);
        pair.right->ping();
        Json params;
        co_await pair.right->request("echo", params);
        EXPECT_EQ(events, std::vector<Json>{event});
        EXPECT_TRUE(pair.right->round_trip());
    };
    play(body);
}

TEST_F(SessionTest, StreamsAreReadToTheirEnd) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params{{"count", 100}};
        auto stream = co_await pair.right->open_stream("logs", params);
        int seen = 0;
        while (true) {
            const auto piece = co_await (*stream)->next();
            EXPECT_TRUE(piece);
            if (!piece || !*piece) break;
            EXPECT_EQ(**piece, std::to_string(seen++));
        }
        EXPECT_EQ(seen, 100);
        Json nothing = Json::object();
        auto missing = co_await pair.right->open_stream("logs", nothing);
        const auto piece = co_await (*missing)->next();
        EXPECT_FALSE(piece);
        if (!piece) {
            EXPECT_EQ(piece.error().code, ErrorCode::NotFound);
        }
    };
    play(body);
    EXPECT_EQ(alive, 0);
}

TEST_F(SessionTest, ReaderThatGoesEndsTheSource) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params{{"count", 2}, {"follow", true}};
        auto stream = co_await pair.right->open_stream("logs", params);
        co_await (*stream)->next();
        co_await (*stream)->next();
        EXPECT_EQ(alive, 1);
        stream->reset();
        asio::steady_timer timer(loop);
        for (int i = 0; i < 500 && alive > 0; ++i) {
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        EXPECT_EQ(alive, 0);
    };
    play(body);
}

TEST_F(SessionTest, ReaderThatIsSlowIsNotFlooded) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params{{"count", 1000}};
        auto stream = co_await pair.right->open_stream("logs", params);
        Json nothing;
        for (int i = 0; i < 10; ++i) // the link carries other things meanwhile
            co_await pair.right->request("echo", nothing);
        EXPECT_EQ(alive, 1);
        for (int i = 0; i < 1000; ++i) {
            const auto piece = co_await (*stream)->next();
            EXPECT_EQ(**piece, std::to_string(i));
        }
    };
    play(body);
}

TEST_F(SessionTest, APeerReadsFewStreamsAtOnce) {
    auto body = [this]() -> asio::awaitable<void> {
        std::vector<std::unique_ptr<TextStream>> open;
        for (std::size_t i = 0; i < max_streams_at_once; ++i) {
            Json params{{"count", 1}, {"follow", true}};
            auto stream = co_await pair.right->open_stream("logs", std::move(params));
            const auto first = co_await (*stream)->next();
            EXPECT_TRUE(first);
            open.push_back(std::move(*stream));
        }
        Json params{{"count", 1}};
        auto more = co_await pair.right->open_stream("logs", params);
        const auto refused = co_await (*more)->next();
        EXPECT_FALSE(refused);
        EXPECT_EQ(alive, static_cast<int>(max_streams_at_once));
        // One that ends makes room for another.
        open.pop_back();
        asio::steady_timer pause(loop);
        for (int i = 0; i < 1000 && alive == static_cast<int>(max_streams_at_once); ++i) {
            pause.expires_after(5ms);
            co_await pause.async_wait(asio::use_awaitable);
        }
        auto again = co_await pair.right->open_stream("logs", params);
        const auto piece = co_await (*again)->next();
        EXPECT_TRUE(piece);
    };
    play(body);
}

TEST_F(SessionTest, WhatIsUnderWayFailsWithTheLink) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params{{"count", 0}, {"follow", true}};
        auto stream = co_await pair.right->open_stream("logs", params);
        asio::steady_timer timer(loop, 10ms);
        co_await timer.async_wait(asio::use_awaitable);
        pair.left->close();
        const auto piece = co_await (*stream)->next();
        EXPECT_FALSE(piece);
        if (!piece) {
            EXPECT_EQ(piece.error().code, ErrorCode::Unreachable);
        }
        const auto late = co_await pair.right->request("echo", params);
        EXPECT_FALSE(late);
        if (!late) {
            EXPECT_EQ(late.error().code, ErrorCode::Unreachable);
        }
    };
    play(body);
    EXPECT_EQ(alive, 0);
}

TEST_F(SessionTest, TwoStreamsOfOneNumberEndTheConnection) {
    auto body = [this]() -> asio::awaitable<void> {
        const Json forged{
            {"id", 7}, {"method", "logs"}, {"params", {{"count", 0}, {"follow", true}}}, {"stream", true}};
        pair.right->send(forged);
        pair.right->send(forged);
        asio::steady_timer timer(loop);
        for (int i = 0; i < 500 && !left_end; ++i) {
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        EXPECT_TRUE(left_end);
        if (left_end) {
            EXPECT_EQ(left_end->code, ErrorCode::InvalidSpec) << left_end->message;
        }
    };
    play(body);
    EXPECT_EQ(alive, 0);
}

TEST_F(SessionTest, AStreamsPiecesAreNoLargerThanTheyMayBe) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params;
        auto stream = co_await pair.left->open_stream("logs", params);
        for (const int size : {32 << 10, 256 << 10})
            pair.right->send({{"id", 1}, {"chunk", std::string(static_cast<std::size_t>(size), 'x')}});
        const auto good = co_await (*stream)->next();
        EXPECT_TRUE(good);
        const auto bad = co_await (*stream)->next();
        EXPECT_FALSE(bad);
    };
    play(body);
}

TEST_F(SessionTest, NothingComesAfterAStreamsEnd) {
    auto body = [this]() -> asio::awaitable<void> {
        Json params;
        auto stream = co_await pair.left->open_stream("logs", params);
        pair.right->send({{"id", 1}, {"chunk", "last"}});
        pair.right->send({{"id", 1}, {"error", {{"code", "Failed"}, {"message", "the disk broke"}}}});
        pair.right->send({{"id", 1}, {"chunk", "late"}});
        pair.right->send({{"id", 1}, {"end", true}});
        Json nothing;
        co_await pair.right->request("echo", nothing); // all of it has come
        const auto last = co_await (*stream)->next();
        EXPECT_TRUE(last);
        const auto end = co_await (*stream)->next();
        EXPECT_FALSE(end);
        if (!end) {
            EXPECT_EQ(end.error().message, "the disk broke");
        }
    };
    play(body);
}

TEST_F(SessionTest, AMethodAsLongAsAFrameIsAnswered) {
    auto body = [this]() -> asio::awaitable<void> {
        std::string name(max_frame - 40, 'x');
        Json params;
        const auto refused = co_await pair.left->request(name, params, std::chrono::seconds(5));
        EXPECT_FALSE(refused);
        if (!refused) {
            EXPECT_EQ(refused.error().code, ErrorCode::NotSupported) << refused.error().message;
        }
    };
    play(body);
}

// Each takes up more than its few bytes.
TEST_F(SessionTest, ManySmallFramesThatAreNotReadEndTheConnection) {
    constexpr auto most = max_unsent / frame_overhead;
    std::size_t sent = 0;
    for (; sent <= most && !pair.left->closed(); ++sent)
        pair.left->send(Json{{"pong", 1}, {"time", 1'000'000'000'000}});
    EXPECT_TRUE(pair.left->closed());
    EXPECT_GT(sent, most / 2);
    play([]() -> asio::awaitable<void> { co_return; });
}

TEST_F(SessionTest, WhatWasSentCountsNoMore) {
    play([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 1000; ++i)
            pair.right->send(Json{{"event", "seen"}, {"number", i}});
        EXPECT_GE(pair.right->unsent(), 1000 * frame_overhead);
        co_await pair.right->drain();
        EXPECT_EQ(pair.right->unsent(), 0U);
        while (events.size() < 1000) {
            asio::steady_timer timer(loop, 5ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    });
}

// A peer that asks faster than it is answered waits; all of it is answered in the end.
class FloodTest : public testing::Test {
  protected:
    void flood(std::size_t count, std::size_t size) {
        SessionHandlers serving;
        serving.request = [this](std::string, Json params) { return work(std::move(params)); };
        asio::co_spawn(loop, pair.left->run(std::move(serving)), test::rethrow);
        SessionHandlers none;
        asio::co_spawn(loop, pair.right->run(std::move(none)), test::rethrow);
        std::size_t answered = 0;
        const auto ask = [&](std::size_t n) -> asio::awaitable<void> {
            Json params{{"n", n}, {"text", std::string(size, 'x')}};
            const auto answer = co_await pair.right->request("work", std::move(params));
            EXPECT_TRUE(answer) << answer.error().message;
            if (answer) {
                EXPECT_EQ((*answer)["n"], n);
            }
            if (++answered < count) co_return;
            pair.left->close();
            pair.right->close();
        };
        for (std::size_t n = 0; n < count; ++n)
            asio::co_spawn(loop, ask(n), test::rethrow);
        loop.run();
        EXPECT_EQ(answered, count);
    }

    asio::io_context loop;
    SessionPair pair{loop};
    std::size_t at_once = 0, most = 0;

  private:
    asio::awaitable<Result<Json>> work(Json params) {
        most = std::max(most, ++at_once);
        asio::steady_timer timer(loop, 1ms);
        co_await timer.async_wait(asio::use_awaitable);
        --at_once;
        co_return Json{{"n", params.value("n", 0)}};
    }
};

TEST_F(FloodTest, LargeRequestsWaitUntilThereIsRoomForThem) {
    constexpr std::size_t size = 1000 << 10;
    flood(14, size);
    EXPECT_LE(most, max_request_bytes / size + 1);
}

TEST_F(FloodTest, ManyRequestsWaitUntilThereIsRoomForThem) {
    flood(5 * max_requests_at_once, 1);
    EXPECT_EQ(most, max_requests_at_once);
}

} // namespace
} // namespace p2prc::link
