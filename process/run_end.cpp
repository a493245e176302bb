#include "process/run_end.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// The journal and PropertiesChanged are not ordered: wait for the last lines of a process.
constexpr auto journal_grace = 60ms;

asio::awaitable<void> pause(asio::any_io_executor loop, std::chrono::milliseconds time) {
    asio::steady_timer timer(loop, time);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

bool asked_for(StopKind kind) noexcept {
    return kind == StopKind::Stopped || kind == StopKind::Killed;
}

} // namespace

ProcessState state_after(StopKind kind) noexcept {
    const bool in_order = asked_for(kind) || kind == StopKind::Finished || kind == StopKind::StoppedOutside;
    return in_order ? ProcessState::Stopped : ProcessState::Failed;
}

asio::awaitable<Result<std::optional<UnitView>>> RunEnd::still_there(std::string unit) {
    const auto all = co_await systemd_.units();
    if (!all) co_return std::unexpected(all.error());
    const auto found = std::ranges::find(*all, unit, &UnitView::unit);
    if (found == all->end() || found->dead()) co_return std::nullopt;
    co_return *found;
}

asio::awaitable<RunResult> RunEnd::of(std::string unit, std::uint32_t id, SeenEnd seen,
                                      std::optional<Restart> restart) {
    RunResult result;
    StopContext context;
    context.asked = seen.outside ? StopContext::Asked::Outside : StopContext::Asked::Nobody;
    std::optional<LoggedEnd> logged;
    if (!seen.watched || !seen.end) {
        // While it waits for its next run a unit still carries the invocation of the last.
        const bool next_run = seen.goes_on && !(seen.end && seen.end->invocation == seen.unit->invocation);
        const std::string running = next_run ? seen.unit->invocation : "";
        logged = co_await journal_.logged_end(unit, running);
        // The journal may not have this end yet, and tell of the one before.
        if (logged && seen.end && logged->invocation != seen.end->invocation) logged.reset();
    }
    if (logged && logged->stopped) context.asked = StopContext::Asked::Outside;
    if (seen.end || logged) {
        // systemd forgets what ended well, and what somebody reset.
        const auto& ended = seen.end ? seen.end->result : logged->result;
        const bool step_of_systemd = !exec_step_name(ended.status).empty();
        context.executed = seen.watched && seen.end ? seen.executed : !step_of_systemd;
        context.gave_up = !seen.goes_on && restart && would_restart(*restart, ended);
        context.left_behind = seen.left_behind;
        result.reason = exit_reason(ended, context);
    } else {
        result.reason.detail = "it ended while p2prcd was not running, and the journal does not say how";
    }
    if (!asked_for(result.reason.kind)) {
        const std::string invocation = seen.end ? seen.end->invocation : logged ? logged->invocation : "";
        // Where only the log says why nothing was executed, it is worth some waiting.
        const int looks = result.reason.step == ports_step ? 20 : 1;
        for (int look = 0; look < looks && result.reason.log.empty(); ++look) {
            co_await pause(loop_, journal_grace);
            if (stopped_) break;
            result.reason.log = co_await journal_.last_lines(unit, id, invocation, log_lines);
        }
    }
    if (!seen.end && logged) result.at = logged->at;
    result.known = seen.end || result.reason.kind != StopKind::Unknown;
    co_return result;
}

asio::awaitable<std::vector<std::string>> RunEnd::log_of(std::string unit, std::uint32_t id,
                                                         std::string invocation, std::size_t lines) {
    co_await pause(loop_, journal_grace);
    if (stopped_) co_return std::vector<std::string>{};
    co_return co_await journal_.last_lines(std::move(unit), id, std::move(invocation), lines);
}

asio::awaitable<std::optional<RunResult>> RunEnd::before(UnitView unit, std::uint32_t id) {
    const auto logged = co_await journal_.logged_end(unit.unit, unit.invocation);
    if (!logged) co_return std::nullopt;
    StopContext context;
    // A stop job is also a part of each automatic restart; a start that is not automatic resets the count.
    if (logged->stopped && unit.restarts == 0) context.asked = StopContext::Asked::Outside;
    RunResult result;
    result.reason = exit_reason(logged->result, context);
    result.reason.log = co_await journal_.last_lines(unit.unit, id, logged->invocation, log_lines);
    result.at = logged->at;
    co_return result;
}

} // namespace p2prc::process
