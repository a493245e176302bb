#include "daemon/api/waits.h"

#include "core/counted.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t longest_timeout = 900; // seconds

constexpr const char* goal_name(Goal goal) {
    switch (goal) {
    case Goal::Started:
    case Goal::Ready:
        return "start";
    case Goal::Stopped:
        return "stop";
    case Goal::Paused:
        return "be paused";
    case Goal::Resumed:
        return "go on";
    case Goal::Gone:
        break;
    }
    return "end";
}

bool is_over(const ProcessStatus& status) {
    return status.state == ProcessState::Stopped || status.state == ProcessState::Failed;
}

// The rest is up to the owner of its machine.
Error is_paused(const Awaited& awaited, const ProcessStatus& status) {
    const auto reason = status.reason ? *status.reason : StopReason();
    return {
        ErrorCode::Conflict,
        fmt::format("process '{}' is paused on '{}'{}{}; what it was asked to do is done when it is resumed",
                    awaited.name, awaited.node, reason.by.empty() ? "" : " by " + reason.by,
                    reason.at.empty() ? "" : ", " + reason.at),
        fmt::format("on {}: {}", awaited.node, resume_command(awaited.name, reason))};
}

// Its reason is new, and is not that somebody asked for the stop.
bool has_new_reason(const Awaited& awaited, const ProcessStatus& status) {
    return status.reason && status.reason != awaited.reason && status.reason->kind != StopKind::Stopped &&
           status.reason->kind != StopKind::Killed;
}

// It ended by itself, and is perhaps started again by now.
bool ended_meanwhile(const Awaited& awaited, const ProcessStatus& status) {
    return status.restarts > awaited.restarts || has_new_reason(awaited, status);
}

// Once it has failed, by a remedy of its file or without one.
bool is_brought_back(const ProcessSpec& spec, const ProcessStatus& status) {
    const bool by_itself = spec.run.restart != Restart::No && is_tried_again(status.reason->kind);
    const auto number = matching_remedy(spec.remedies, *status.reason);
    if (number == 0) return by_itself;
    const auto action = spec.remedies[number - 1].action;
    if (action == RemedyAction::None) return false;
    // What was decided may be that nothing can be done.
    const bool in_vain = status.remedy && status.remedy->decided && !status.remedy->planned;
    return action == RemedyAction::Notify || in_vain ? by_itself : true;
}

// systemd starts it again, or its supervisor does after a pause.
bool will_be_tried_again(const View& view, const Awaited& awaited, const ProcessStatus& status) {
    if (!is_over(status)) return true;
    const auto record = view.process(awaited.name);
    return record && status.reason && is_brought_back(record->spec, status);
}

Error not_started(const View& view, const Awaited& awaited, const ProcessStatus& status) {
    const bool known = is_over(status) ? status.reason.has_value() : has_new_reason(awaited, status);
    const bool never_ran = known && (status.reason->kind == StopKind::StartFailed ||
                                     status.reason->kind == StopKind::StartLimit ||
                                     status.reason->kind == StopKind::DeployFailed);
    Error error{ErrorCode::Failed,
                "process '" + awaited.name + (never_ran || !known ? "' did not start" : "' has ended")};
    if (known && status.reason->kind == StopKind::NotReady)
        error.message = "process '" + awaited.name + "' did not become ready";
    if (!known && !is_over(status))
        error.message = "process '" + awaited.name + "' ended and was started again";
    if (known) {
        error.message += ": " + reason_text(*status.reason);
        if (!status.reason->detail.empty() && error.message.find(status.reason->detail) == std::string::npos)
            error.message += ": " + status.reason->detail;
        // Before it is executed, systemd alone has logged something: the step, and the number of an error.
        const bool only_systemd = status.reason->kind == StopKind::StartFailed &&
                                  status.reason->step != "EXEC" && !status.reason->detail.empty();
        if (!only_systemd)
            for (const std::string& line : status.reason->log)
                error.message += "\n  " + line;
    }
    const auto logs = logs_command(awaited.name, known ? *status.reason : StopReason());
    error.hint =
        will_be_tried_again(view, awaited, status)
            ? fmt::format("it is tried again; p2prc stop {} ends that; {} shows more", awaited.name, logs)
            : fmt::format("{} shows more; p2prc kill {} removes it", logs, awaited.name);
    return error;
}

Error too_late(const View& view, const Awaited& awaited) {
    const std::string name = "process '" + awaited.name + "'";
    const auto seconds = awaited.timeout.count();
    const std::string time =
        seconds > 0 ? counted(static_cast<std::uint64_t>(seconds), "second", "seconds") : "the time given";
    const auto* written = view.status(awaited.node, awaited.id);
    const auto status = written ? *written : ProcessStatus{};
    if (awaited.goal == Goal::Ready && is_executed(status) && !status.waits_for.empty())
        return {ErrorCode::Failed, name + " runs, but is not ready after " + time + ": " + status.waits_for,
                "it keeps running: p2prc logs " + awaited.name + " shows its output, p2prc kill " +
                    awaited.name + " ends it; --timeout gives it longer"};
    if (status.state == ProcessState::Starting && !is_executed(status) && !status.waits_for.empty())
        return {ErrorCode::Failed, name + " was not started in " + time + ": " + status.waits_for,
                "it is tried again: p2prc info " + awaited.name + " shows its state"};
    if (status.state == ProcessState::Deploying && !status.waits_for.empty())
        return {
            ErrorCode::Failed, name + " is still being deployed after " + time + ": " + status.waits_for,
            fmt::format("it goes on: p2prc logs {0} --deploy shows how far it is, p2prc kill {0} ends it; "
                        "--timeout gives it longer",
                        awaited.name)};
    return {ErrorCode::Failed, name + " did not " + goal_name(awaited.goal) + " in " + time,
            "p2prc info " + awaited.name + " shows its state"};
}

// A process that is asked for with a port serves; one that has ended serves nobody.
bool ended_well(const View& view, const Awaited& awaited, const ProcessStatus& status) {
    if (!status.reason || status.reason->kind != StopKind::Finished) return false;
    const auto* record = view.process(awaited.name);
    return awaited.goal == Goal::Started || !record || !record->port;
}

Error not_kept(const View& view, const Awaited& awaited, const ProcessStatus& status) {
    const auto& update = *status.update;
    const bool runs = update.phase == UpdatePhase::RolledBack;
    Error error{ErrorCode::Failed,
                fmt::format("revision {} of process '{}' was not kept: {}", update.revision, awaited.name,
                            update.reason ? reason_text(*update.reason) : "it failed")};
    const bool stopped = status.reason && status.reason->kind == StopKind::UpdateFailed;
    if (runs)
        error.message += fmt::format("; revision {} runs {}", update.fallback, stopped ? "again" : "on");
    else
        error.message +=
            fmt::format("; revision {} was started again, and is not ready either{}", update.fallback,
                        status.reason ? ": " + reason_text(*status.reason) : "");
    // Of a revision that was never started, it is with the update.
    const bool own = update.reason && !update.reason->log.empty();
    if (own || (status.reason && (stopped || !runs)))
        for (const std::string& line : own ? update.reason->log : status.reason->log)
            error.message += "\n  " + line;
    const auto* record = view.process(awaited.name);
    const bool keeps_data =
        record && record->spec.run.data && update.reason && update.reason->kind != StopKind::DeployFailed;
    error.hint =
        fmt::format("{} shows more, p2prc history {} what ran before",
                    logs_command(awaited.name, update.reason ? *update.reason : StopReason()), awaited.name);
    if (keeps_data)
        error.hint += update.data == DataCopy::PutBack
                          ? "; its data is as it was before the update"
                          : "; its data is as the revision that was not kept has left it";
    if (update.data == DataCopy::NotCopied || update.data == DataCopy::NotPutBack)
        error.hint += fmt::format(" ({})", data_words(update));
    return error;
}

// Nothing: it is an update like the start of a process, as there is nothing to go back to.
std::optional<std::optional<Result<void>>> judge_update(const View& view, const Awaited& awaited,
                                                        const ProcessStatus& status) {
    if (awaited.revision == 0 || !status.update || status.update->revision < awaited.revision)
        return std::nullopt;
    if (status.update->revision > awaited.revision)
        return fail(ErrorCode::Conflict,
                    fmt::format("revision {} of process '{}' was superseded by revision {}", awaited.revision,
                                awaited.name, status.update->revision),
                    fmt::format("p2prc history {} shows who made it", awaited.name));
    switch (status.update->phase) {
    case UpdatePhase::Good:
        return Result<void>{};
    case UpdatePhase::RolledBack:
    case UpdatePhase::Failed:
        return std::unexpected(not_kept(view, awaited, status));
    case UpdatePhase::Replacing:
    case UpdatePhase::Confirming:
        if (awaited.goal == Goal::Started && is_executed(status)) return Result<void>{};
        // Somebody stopped it meanwhile.
        if (is_over(status)) return std::unexpected(not_started(view, awaited, status));
        break;
    case UpdatePhase::RollingBack:
        break;
    }
    return std::optional<Result<void>>();
}

// What it replaces serves on meanwhile: the change is applied when it has taken over.
bool is_started_beside(const ProcessRecord& record, const Awaited& awaited, const ProcessStatus& status) {
    if (awaited.goal != Goal::Started || awaited.revision == 0 || !status.update) return false;
    const auto& update = *status.update;
    if (record.spec.update.order != UpdateOrder::StartFirst || update.revision != awaited.revision)
        return false;
    // Before it is started it may have to be deployed.
    return update.phase == UpdatePhase::Confirming ||
           (update.phase == UpdatePhase::Replacing && record.spec.deploy.strategy.empty());
}

// A tombstone means that it came and went meanwhile.
std::optional<Result<void>> recorded(const View& view, const Awaited& awaited) {
    const auto* record = view.process(awaited.name);
    const bool revised = record && last_revision(*record) >= awaited.revision;
    if ((record && record->id == awaited.id && revised) || view.replica().get(keys::tombstone(awaited.id)))
        return Result<void>{};
    return std::nullopt;
}

} // namespace

std::optional<Result<void>> judge(const View& view, const Awaited& awaited) {
    if (view.live(awaited.node) == "lost")
        return fail(ErrorCode::Unreachable,
                    "node '" + awaited.node + "' was lost before '" + awaited.name + "' could " +
                        goal_name(awaited.goal),
                    "it will be done when the node is back");
    const ProcessStatus* reported = view.status(awaited.node, awaited.id);
    if (awaited.goal == Goal::Gone) {
        if (!reported) return Result<void>{};
        // Its end is reported with its reason; the change number is that of a record which is gone.
        const ProcessStatus& status = *reported;
        const bool killed = status.reason && status.reason->kind == StopKind::Killed;
        // What had ended before and is killed while the root is away is not killed a second time.
        const bool done_here = awaited.change != 0 && status.applied >= awaited.change;
        return is_over(status) && (killed || done_here) ? std::optional(Result<void>{}) : std::nullopt;
    }
    const auto* record = view.process(awaited.name);
    if (!record || record->id != awaited.id)
        return fail(ErrorCode::Conflict, "process '" + awaited.name + "' was killed meanwhile",
                    "p2prc history " + awaited.name + " says who did");
    if (!reported) return std::nullopt;
    const ProcessStatus& status = *reported;
    const bool paused = status.state == ProcessState::Paused;
    // What is over already is not paused: it is not started.
    if (awaited.goal == Goal::Paused)
        return paused || is_over(status) ? std::optional(Result<void>{}) : std::nullopt;
    if (awaited.goal == Goal::Resumed) return paused ? std::nullopt : std::optional(Result<void>{});
    if (paused && awaited.goal != Goal::Stopped) return std::unexpected(is_paused(awaited, status));
    if (status.applied < awaited.change)
        return is_started_beside(*record, awaited, status) ? std::optional(Result<void>{}) : std::nullopt;
    if (const auto verdict = judge_update(view, awaited, status)) return *verdict;
    if (status.revision < awaited.revision) return std::nullopt; // its limits are still to be changed
    if (awaited.goal == Goal::Stopped) return is_over(status) ? std::optional(Result<void>{}) : std::nullopt;
    if (is_over(status)) {
        if (ended_well(view, awaited, status)) return Result<void>{};
        return std::unexpected(not_started(view, awaited, status));
    }
    if (awaited.goal == Goal::Started ? is_executed(status) : status.state == ProcessState::Running)
        return Result<void>{};
    if (ended_meanwhile(awaited, status)) return std::unexpected(not_started(view, awaited, status));
    return std::nullopt;
}

std::chrono::seconds wait_time(const WaitFor& wait, const ProcessSpec& spec) {
    constexpr std::chrono::seconds by_default{60}, to_stop{40}, to_deploy{600};
    if (wait.timeout) return *wait.timeout;
    const auto limit = ready_limit(spec.ready);
    const auto to_start = limit ? std::max(by_default, *limit + to_stop) : by_default;
    return spec.deploy.strategy.empty() ? to_start : std::max(to_start, to_deploy);
}

std::chrono::seconds update_wait_time(const WaitFor& wait, const ProcessSpec& spec) {
    // Two minutes where its file says nothing (ReconcilerOptions::update_limit), ten seconds to stay up, and
    // the same again for a stop and for the revision before.
    constexpr std::chrono::seconds by_default{120}, beside{100};
    if (wait.timeout) return *wait.timeout;
    const auto to_deploy = std::chrono::seconds(spec.deploy.strategy.empty() ? 0 : 600);
    return ready_limit(spec.ready).value_or(by_default) + beside + to_deploy;
}

Result<WaitFor> wait_options(const Json& options) {
    WaitFor wait;
    for (const auto& [key, value] : options.items()) {
        if (key == "until") {
            if (value != "ready" && value != "started")
                return fail(ErrorCode::InvalidSpec, "option 'until' is not 'ready' or 'started'");
            wait.goal = value == "ready" ? Goal::Ready : Goal::Started;
        } else if (key == "timeout_seconds") {
            if (!value.is_number_integer() || value < 1 || value > longest_timeout)
                return fail(ErrorCode::InvalidSpec, "option 'timeout_seconds' is not a time",
                            "1 to " + std::to_string(longest_timeout));
            wait.timeout = std::chrono::seconds(value.get<std::int64_t>());
        } else {
            return fail(ErrorCode::InvalidSpec, "there is no option '" + key + "'",
                        "the options are until, timeout_seconds");
        }
    }
    return wait;
}

Waits::Waits(asio::any_io_executor executor, const View& view)
    : executor_(std::move(executor))
    , view_(&view) {}

asio::awaitable<Result<void>> Waits::until(Awaited awaited) {
    return watch(std::move(awaited), judge);
}

asio::awaitable<Result<void>> Waits::until_recorded(Awaited awaited) {
    return watch(std::move(awaited), recorded);
}

asio::awaitable<Result<void>> Waits::watch(Awaited awaited, Verdict verdict_of) {
    const auto alarm = std::make_shared<asio::steady_timer>(executor_);
    const auto deadline = std::chrono::steady_clock::now() + awaited.timeout;
    const state::ChangeCallback wake = [alarm](std::span<const state::Change>) { alarm->cancel(); };
    // Both states may be subscribed to whole: judging is a few look-ups.
    const auto replica = view_->replica().subscribe("/", wake);
    const auto own = view_->own().subscribe("/", wake);
    while (true) {
        if (auto verdict = verdict_of(*view_, awaited)) co_return *verdict;
        if (std::chrono::steady_clock::now() >= deadline)
            co_return std::unexpected(too_late(*view_, awaited));
        alarm->expires_at(deadline);
        boost::system::error_code ignored;
        co_await alarm->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

} // namespace p2prc::daemon
