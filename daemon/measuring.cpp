#include "daemon/measuring.h"

#include "core/keys.h"
#include "core/process_status.h"
#include "net/spawn.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

struct Measuring::State {
    State(const asio::any_io_executor& executor, std::function<void()> m, MeasuringTiming t)
        : timer(executor)
        , measure(std::move(m))
        , timing(t) {}

    Clock::time_point next() const {
        auto at = last + timing.seldom;
        if (Clock::now() < looked_until) at = std::min(at, last + timing.looked_at);
        return started ? std::min(at, *started + timing.after_start) : at;
    }

    // Whether the status tells of a run that was not known.
    bool is_new_run(const std::string& key, const ProcessStatus& status) {
        if (status.state != ProcessState::Running) {
            runs.erase(key);
            return false;
        }
        const auto [run, added] = runs.try_emplace(key, status.invocation);
        return std::exchange(run->second, status.invocation) != status.invocation || added;
    }

    // What measuring itself writes is no start.
    void note(std::span<const state::Change> changes) {
        for (const auto& change : changes) {
            if (!is_new_run(change.key, change.value ? status_from_json(*change.value) : ProcessStatus{}))
                continue;
            began = Clock::now();
            if (!started) started = began;
        }
        timer.cancel();
    }

    asio::steady_timer timer;
    std::function<void()> measure;
    MeasuringTiming timing;
    Clock::time_point last = Clock::now();
    Clock::time_point looked_until;
    std::optional<Clock::time_point> started; // the first start that was not measured yet
    Clock::time_point began;                  // the last start
    std::map<std::string, std::string> runs;  // invocation by key of status
    state::Subscription statuses;
    bool stopped = false;
};

namespace {

template <class State>
asio::awaitable<void> keep_measuring(std::shared_ptr<State> state) {
    while (!state->stopped) {
        if (const auto at = state->next(); Clock::now() < at) {
            state->timer.expires_at(at);
            boost::system::error_code ignored;
            co_await state->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
            continue;
        }
        state->last = Clock::now();
        // A process that has just started does not use yet what it will.
        const bool fresh = state->started && state->last - state->began < state->timing.after_start;
        state->started = fresh && state->began > *state->started ? std::optional(state->began) : std::nullopt;
        state->measure();
    }
}

} // namespace

Measuring::Measuring(asio::any_io_executor executor, state::OwnState& own, std::function<void()> measure,
                     MeasuringTiming timing)
    : state_(std::make_shared<State>(executor, std::move(measure), timing)) {
    state_->statuses = own.subscribe(std::string(keys::statuses),
                                     [weak = std::weak_ptr(state_)](std::span<const state::Change> changes) {
                                         if (const auto state = weak.lock()) state->note(changes);
                                     });
    // Processes that run already have not been measured yet. That they are measured does not start them.
    for (const auto& [key, document] : own.range(keys::statuses))
        state_->is_new_run(std::string(key), status_from_json(*document));
    state_->started = Clock::now();
    net::spawn_loop(executor, "measuring processes", [state = state_] { return keep_measuring(state); });
}

Measuring::~Measuring() {
    state_->stopped = true;
    state_->statuses.reset();
    state_->timer.cancel();
}

void Measuring::look() {
    state_->looked_until = Clock::now() + state_->timing.look;
    state_->timer.cancel();
}

} // namespace p2prc::daemon
