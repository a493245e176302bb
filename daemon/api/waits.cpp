#include "daemon/api/waits.h"

#include "core/process_status.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr const char* goal_name(Goal goal) {
    switch (goal) {
    case Goal::Running:
        return "start";
    case Goal::Stopped:
        return "stop";
    case Goal::Gone:
        break;
    }
    return "end";
}

Error not_started(const Awaited& awaited, const ProcessStatus& status) {
    Error error{ErrorCode::Failed, "process '" + awaited.name + "' did not start"};
    if (status.reason) {
        error.message += ": " + reason_text(*status.reason);
        if (!status.reason->detail.empty() && error.message.find(status.reason->detail) == std::string::npos)
            error.message += ": " + status.reason->detail;
        for (const std::string& line : status.reason->log)
            error.message += "\n  " + line;
    }
    error.hint = "p2prc logs " + awaited.name + " shows more; p2prc kill " + awaited.name + " forgets it";
    return error;
}

// A tombstone means that it came and went meanwhile.
std::optional<Result<void>> recorded(const View& view, const Awaited& awaited) {
    const auto record = view.process(awaited.name);
    if ((record && record->id == awaited.id) || view.replica().get(keys::tombstone(awaited.id)))
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
    const Json* document = view.get(keys::status(awaited.node, awaited.id));
    if (awaited.goal == Goal::Gone) {
        if (!document) return Result<void>{};
        // Its end is reported with its reason; the change number is that of a record which is gone.
        const ProcessStatus status = status_from_json(*document);
        const bool over = status.state == ProcessState::Stopped || status.state == ProcessState::Failed;
        const bool killed = status.reason && status.reason->kind == StopKind::Killed;
        // What had ended before and is killed while the root is away is not killed a second time.
        const bool done_here = awaited.change != 0 && status.applied >= awaited.change;
        return over && (killed || done_here) ? std::optional(Result<void>{}) : std::nullopt;
    }
    const auto record = view.process(awaited.name);
    if (!record || record->id != awaited.id)
        return fail(ErrorCode::Conflict, "process '" + awaited.name + "' was killed meanwhile");
    if (!document) return std::nullopt;
    const ProcessStatus status = status_from_json(*document);
    if (status.applied < awaited.change) return std::nullopt;
    const bool over = status.state == ProcessState::Stopped || status.state == ProcessState::Failed;
    if (awaited.goal == Goal::Stopped) return over ? std::optional(Result<void>{}) : std::nullopt;
    if (status.state == ProcessState::Running) return Result<void>{};
    if (!over) return std::nullopt;
    if (status.reason && status.reason->kind == StopKind::Finished) return Result<void>{};
    return std::unexpected(not_started(awaited, status));
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
    const auto deadline = std::chrono::steady_clock::now() + limit;
    const ChangeCallback wake = [alarm](std::span<const Change>) { alarm->cancel(); };
    // Both states may be subscribed to whole: judging is a few look-ups.
    const auto replica = view_->replica().subscribe("/", wake);
    const auto own = view_->own().subscribe("/", wake);
    while (true) {
        if (auto verdict = verdict_of(*view_, awaited)) co_return *verdict;
        if (std::chrono::steady_clock::now() >= deadline)
            co_return fail(ErrorCode::Failed,
                           "process '" + awaited.name + "' did not " + goal_name(awaited.goal) + " in " +
                               std::to_string(limit.count()) + " seconds",
                           "p2prc info " + awaited.name + " shows its state");
        alarm->expires_at(deadline);
        boost::system::error_code ignored;
        co_await alarm->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

} // namespace p2prc::daemon
