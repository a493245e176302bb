#include "process/supervisor.h"
#include "process/unit_names.h"

#include <fmt/format.h>

namespace p2prc::process {

namespace asio = boost::asio;

// Stops it for one of: Stop, Kill, Fence, Abort, Pause, and Restart, after which it is started again.
asio::awaitable<bool> ProcessSupervisor::stop(Facts now, Act what) {
    if (!unit_.view()) co_return true;
    launch_ = 0;
    const bool kill = what == Act::Kill;
    if (const auto running = records().id_of(name_, *unit_.view()); kill && now.id != running) {
        // The unit is that of a killed process whose name another has taken since.
        now.record.reset();
        now.id = running;
        const auto* status = records().status(now.id);
        now.status = status ? std::optional(*status) : std::nullopt;
    }
    const auto want = now.record ? wanted(now) : Wanted{};
    const auto invocation = unit_.view()->invocation;
    if (unit_.alive()) take(SupervisorEvent::StopOrdered);
    node_->write_state(draft(now), ProcessState::Stopping);
    const auto unit = serving_name();
    const auto result = co_await node_->systemd.stop(unit, share_);
    if (node_->stopping) co_return false;
    if (!result || unit_.alive()) {
        node_->warn(fmt::format("cannot stop '{}': {}", name_,
                                result ? "systemd's job ended as '" + *result + "'" : result.error().message),
                    name_);
        retry_later();
        co_return false;
    }
    StopContext context;
    context.asked = kill ? StopContext::Asked::Kill : StopContext::Asked::Stop;
    context.by = kill ? now.killed_by : want.by;
    const bool loaded = unit_.view() != nullptr;
    auto reason = exit_reason(unit_.take_stopped(), context);
    if (what != Act::Restart && what != Act::Abort) co_await beside_gone();
    if (node_->stopping) co_return false;
    if (loaded) co_await node_->systemd.reset_failed(unit);
    unit_.gone();
    take(SupervisorEvent::NotRunning);
    if (what == Act::Fence) {
        fence(now);
        co_return true;
    }
    if (what == Act::Pause) co_return true; // that is recorded by who asked for it
    if (what == Act::Abort) {
        co_await aborted(now, invocation);
        co_return !node_->stopping;
    }
    auto status = draft(now);
    if (what == Act::Restart && rolls_back(now)) {
        // Why it was stopped is written already; clients wait for the revision before it.
        node_->write_state(std::move(status), ProcessState::Starting);
        co_return true;
    }
    if (now.record && what != Act::Restart) status.applied = want.change;
    if (now.record && what == Act::Restart && status.revision != 0 && now.record->revision > status.revision)
        reason.detail = fmt::format("for revision {}", now.record->revision);
    status.reason = node_->stamped(std::move(reason), epoch_of(now));
    node_->write_state(std::move(status), ProcessState::Stopped);
    co_return true;
}

// It was stopped because a check of its own had failed for good.
asio::awaitable<void> ProcessSupervisor::aborted(Facts now, std::string invocation) {
    const auto check = std::exchange(failed_check_, std::nullopt);
    StopReason reason;
    reason.kind = check->kind;
    reason.step = check->step;
    reason.detail = check->answer;
    reason.log = co_await node_->run_end.log_of(serving_name(), now.id, std::move(invocation));
    if (node_->stopping) co_return;
    explain(reason, now, false);
    auto status = draft(now);
    const bool at_once = reason.kind == StopKind::Unhealthy && retry_.pause.count() == 0 && now.record &&
                         now.record->spec.run.restart != Restart::No &&
                         matching_remedy(now.record->spec.remedies, reason) == 0;
    if (status.remedy) begin_run(*status.remedy);
    status.reason = node_->stamped(std::move(reason), epoch_of(now));
    if (take_back(status, now)) co_return;
    node_->write_state(std::move(status), at_once ? ProcessState::Starting : ProcessState::Failed);
}

// It is another node's, and does not run here.
void ProcessSupervisor::fence(const Facts& now) {
    take(SupervisorEvent::EpochPassed);
    auto status = draft(now);
    status.epoch = now.elsewhere->epoch;
    StopReason reason;
    reason.kind = StopKind::Fenced;
    reason.detail = fmt::format("it is {}'s now", now.elsewhere->node);
    status.reason = node_->stamped(std::move(reason), status.epoch);
    node_->write_state(std::move(status), ProcessState::Stopped);
}

} // namespace p2prc::process
