#include "daemon/fleet/shared_answer.h"

#include "net/event.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;

struct SharedAnswer::State {
    State(asio::any_io_executor e, std::chrono::milliseconds f) : executor(std::move(e)), fresh(f) {}

    asio::any_io_executor executor;
    std::chrono::milliseconds fresh;
    std::optional<Result<Json>> last;
    std::chrono::steady_clock::time_point at;
    bool asking = false;
    std::vector<std::shared_ptr<net::Event>> waiting;
};

SharedAnswer::SharedAnswer(asio::any_io_executor executor, std::chrono::milliseconds fresh)
    : state_(std::make_shared<State>(std::move(executor), fresh)) {}

asio::awaitable<Result<Json>> SharedAnswer::get(Ask ask) {
    const auto state = state_;
    if (state->asking) {
        const auto answered = std::make_shared<net::Event>(state->executor);
        state->waiting.push_back(answered);
        co_await answered->wait();
        co_return *state->last;
    }
    if (state->last && std::chrono::steady_clock::now() - state->at < state->fresh) co_return *state->last;
    state->asking = true;
    auto answer = co_await ask();
    state->asking = false;
    state->last = answer;
    state->at = std::chrono::steady_clock::now();
    for (const auto& answered : std::exchange(state->waiting, {}))
        answered->set();
    co_return answer;
}

} // namespace p2prc::daemon
