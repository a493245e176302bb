#include "process/bind_failure.h"
#include "process/exec_failure.h"
#include "process/reconciler_impl.h"
#include "process/unit_names.h"
#include "state/origins.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t log_lines = 10;
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

bool ended_by_itself(StopKind kind) noexcept {
    return kind == StopKind::ExitCode || kind == StopKind::Finished || kind == StopKind::Signal ||
           kind == StopKind::CoreDump || kind == StopKind::StartLimit;
}

ProcessState state_after(StopKind kind) noexcept {
    const bool in_order = asked_for(kind) || kind == StopKind::Finished || kind == StopKind::StoppedOutside;
    return in_order ? ProcessState::Stopped : ProcessState::Failed;
}

// Of a step before the command is executed.
std::string words_for_step(std::string_view step, const ProcessSpec& spec) {
    if (step == "CREDENTIALS") return credentials_failure(spec);
    if (step == "USER" || step == "GROUP") return user_failure(spec);
    return {};
}

} // namespace

// Asks systemd whether a process has really ended before its end is reported as unknown.
asio::awaitable<Result<bool>> Reconciler::Impl::still_missing(std::string name) {
    const auto all = co_await systemd_.units();
    if (!all) co_return std::unexpected(all.error());
    const auto found = std::ranges::find(*all, unit_name(name), &UnitView::unit);
    if (found == all->end() || found->dead()) co_return true;
    auto& slot = slots_[name];
    slot.unit = *found;
    slot.watched = true;
    if (found->up()) slot.executed = found->invocation;
    co_return false;
}

asio::awaitable<bool> Reconciler::Impl::do_conclude(std::string name, Facts now) {
    // Two things at once: whether the machine goes down, and that all signals before the answer have been
    // seen.
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping || *state == "stopping") co_return false;
    auto& slot = slots_[name];
    auto end = slot.end;
    slot.end.reset();
    const bool goes_on = slot.unit && !slot.unit->dead();
    const bool watched = slot.watched;
    const bool outside = slot.outside;
    const auto executed = slot.executed;
    const auto left_behind = slot.left_behind;
    const auto unit = slot.unit;
    slot.outside = false;
    if (!end && goes_on) co_return true;
    if (!end && slot.unit) end = slot.unit;
    slot.watched = goes_on;

    if (!end) {
        const auto missing = co_await still_missing(name);
        if (!missing) retry_later(name);
        if (!missing || !*missing) co_return missing.has_value();
    }
    // How it ended takes a moment to find out; that it does not run any more is true from now on.
    if (now.status && now.status->state == ProcessState::Running) {
        auto ended = draft(name, now);
        ended.pid = 0;
        write_state(std::move(ended), ProcessState::Stopping);
    }
    StopContext context;
    context.asked = outside ? StopContext::Asked::Outside : StopContext::Asked::Nobody;
    const auto unit_of_name = unit_name(name);
    std::optional<LoggedEnd> logged;
    if (!watched || !end) {
        // While it waits for its next run a unit still carries the invocation of the last.
        const bool next_run = goes_on && !(end && end->invocation == unit->invocation);
        const std::string running = next_run ? unit->invocation : "";
        logged = co_await journal_.logged_end(unit_of_name, running);
    }
    if (logged && logged->stopped) context.asked = StopContext::Asked::Outside;
    StopReason reason;
    if (end || logged) {
        // systemd forgets what ended well, and what somebody reset.
        const auto& result = end ? end->result : logged->result;
        const bool step_of_systemd = !exec_step_name(result.status).empty();
        context.executed = watched && end ? executed == end->invocation : !step_of_systemd;
        context.gave_up = !goes_on && now.record && would_restart(now.record->spec.run.restart, result);
        context.left_behind = end && !end->invocation.empty() && left_behind == end->invocation;
        reason = exit_reason(result, context);
    } else {
        reason.detail = "it ended while p2prcd was not running, and the journal does not say how";
    }
    if (!asked_for(reason.kind)) {
        const std::string invocation = end ? end->invocation : logged ? logged->invocation : "";
        // Where only the log says why nothing was executed, it is worth some waiting.
        const int looks = reason.step == ports_step ? 20 : 1;
        for (int look = 0; look < looks && reason.log.empty() && !stopping; ++look) {
            co_await pause(loop_, journal_grace);
            reason.log = co_await journal_.last_lines(unit_of_name, now.id, invocation, log_lines);
        }
    }
    explain(name, reason, now);
    if (stopping) co_return false;
    if (!goes_on && !record_of(name)) co_return true; // there is nobody to tell; what is left over goes next
    auto status = draft(name, now);
    const bool kept_stopped = !end && reason.kind == StopKind::Unknown;
    status.reason = stamped(reason, now);
    if (!end && logged) status.reason->at = rfc3339_of(logged->at);
    if (unit) status.restarts = unit->restarts;
    if (goes_on)
        write_state(std::move(status), ProcessState::Starting);
    else
        write_state(std::move(status), kept_stopped ? ProcessState::Stopped : state_after(reason.kind));
    co_return true;
}

// Whatever systemd enforces it by, BPF programs of ours or its own.
std::string Reconciler::Impl::words_for_bind(const ProcessRecord& record, const StopReason& reason) const {
    const auto rule = bind_rule(record);
    const bool confined = confines_ports_ || bind_programs_.usable();
    if (!ended_by_itself(reason.kind) || !rule || !confined) return {};
    return bind_failure(record.spec, *rule, reason.log);
}

// What the table of reasons cannot know.
void Reconciler::Impl::explain(const std::string& name, StopReason& reason, const Facts& now) {
    if (!now.record) return;
    // The child that should have kept it to its ports may have failed before it came to that.
    if (reason.step == ports_step)
        if (const auto step = failed_step(reason.log); !step.empty()) {
            auto log = std::move(reason.log);
            reason = start_failed_at(step);
            reason.log = std::move(log);
        }
    if (reason.kind == StopKind::StartFailed && reason.step == "EXEC") {
        const auto origin = state::Origins(own_).here(*now.record) ? Origin::Local : Origin::Remote;
        if (auto words = exec_failure(now.record->spec, origin, reason.log); !words.empty())
            reason.detail = std::move(words);
    }
    if (reason.kind == StopKind::StartFailed)
        if (auto words = words_for_step(reason.step, now.record->spec); !words.empty())
            reason.detail = std::move(words);
    if (auto words = words_for_bind(*now.record, reason); !words.empty())
        reason.detail += (reason.detail.empty() ? "" : "; ") + words;
    if (reason.kind != StopKind::StartLimit) return;
    const auto pause = std::chrono::duration_cast<std::chrono::seconds>(next_pause(slots_[name]));
    reason.detail += fmt::format("{}{} s", next_attempt_words, pause.count());
}

// A command may end as soon as it is executed, and whoever waits for it to run goes by what is written. What
// systemd did before it answers has been told then.
asio::awaitable<bool> Reconciler::Impl::do_confirm(std::string name) {
    const auto invocation = slots_[name].unit->invocation;
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping) co_return false;
    slots_[name].confirmed = invocation;
    co_return true;
}

// A unit that fails is dead for an instant before an automatic restart: wait until systemd has reported
// everything.
asio::awaitable<bool> Reconciler::Impl::do_forget(std::string name) {
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping || *state == "stopping") co_return false;
    auto& slot = slots_[name];
    if (slot.unit && !slot.unit->dead()) co_return true;
    slot.end.reset();
    slot.watched = false;
    for (const auto& key : left_over(name))
        own_.erase(key);
    co_return true;
}

// systemd forgets a run when it has started the next one; what PID 1 logged about it is in the journal.
asio::awaitable<bool> Reconciler::Impl::do_recall(std::string name, Facts now) {
    const auto unit = *slots_[name].unit;
    const auto logged = co_await journal_.logged_end(unit.unit, unit.invocation);
    if (stopping) co_return false;
    if (!logged) co_return true;
    StopContext context;
    // A stop job is also a part of each automatic restart; a start that is not automatic resets the count.
    if (logged->stopped && unit.restarts == 0) context.asked = StopContext::Asked::Outside;
    auto reason = exit_reason(logged->result, context);
    reason.log = co_await journal_.last_lines(unit.unit, now.id, logged->invocation, log_lines);
    if (stopping) co_return false;
    auto status = draft(name, now);
    status.reason = stamped(std::move(reason), now);
    status.reason->at = rfc3339_of(logged->at);
    write(status);
    co_return true;
}

} // namespace p2prc::process
