#include "daemon/fleet/shared_answer.h"

#include "core/on_exit.h"
#include "net/event.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// One question, and all who wait for its answer.
struct Round {
    Result<Json> answer = fail(ErrorCode::Failed, "the question failed"); // unless it gets one
    std::vector<std::shared_ptr<net::Event>> waiting;
};

} // namespace

struct SharedAnswer::State {
    State(asio::any_io_executor e, std::chrono::milliseconds f) : executor(std::move(e)), fresh(f) {}

    asio::any_io_executor executor;
    std::chrono::milliseconds fresh;
    std::optional<Result<Json>> last;
    std::chrono::steady_clock::time_point at;
    std::shared_ptr<Round> asking; // null: nobody asks at the moment
};

SharedAnswer::SharedAnswer(asio::any_io_executor executor, std::chrono::milliseconds fresh)
    : state_(std::make_shared<State>(std::move(executor), fresh)) {}

asio::awaitable<Result<Json>> SharedAnswer::get(Ask ask) {
    const auto state = state_;
    if (const auto round = state->asking) {
        const auto answered = std::make_shared<net::Event>(state->executor);
        round->waiting.push_back(answered);
        co_await answered->wait();
        co_return round->answer;
    }
    if (state->last && std::chrono::steady_clock::now() - state->at < state->fresh) co_return *state->last;
    const auto round = std::make_shared<Round>();
    state->asking = round;
    // By an exception, too: nobody waits for an answer that does not come.
    const OnExit answered([state, round] {
        state->asking.reset();
        for (const auto& waiter : round->waiting)
            waiter->set();
    });
    round->answer = co_await ask();
    state->last = round->answer;
    state->at = std::chrono::steady_clock::now();
    co_return round->answer;
}

} // namespace p2prc::daemon
