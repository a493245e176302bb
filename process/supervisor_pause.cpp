// The owner of the machine pauses a process, whoever has spun it.
#include "process/supervisor.h"
#include "process/unit_names.h"

#include <fmt/format.h>

#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;

// Frozen, it keeps what it has in memory. systemd 252 ends a unit whose watchdog is late also while that is
// frozen, and refuses to thaw it then; and it freezes no unit that is on its way up. Those are stopped.
asio::awaitable<bool> ProcessSupervisor::pause(Facts now) {
    const auto unit = serving_name();
    // Its watchdog may have been set by itself (sd_notify(3), WATCHDOG_USEC=), of which no signal tells.
    const auto view = co_await node_->systemd.view_of(unit);
    if (node_->stopping) co_return false;
    if (!view) {
        retry_later();
        co_return false;
    }
    if (!unit_.alive() || view->dead()) co_return true;
    std::string why = "it was not up yet";
    if (unit_.view()->up() && view->watchdog_usec != 0)
        why = "it has a watchdog";
    else if (unit_.view()->up()) {
        const auto frozen = co_await node_->systemd.freeze(unit);
        if (node_->stopping) co_return false;
        if (frozen) {
            unit_.set_frozen(true);
            if (unit_.alive()) hold(now);
            co_return true;
        }
        if (frozen.error().code == ErrorCode::Unreachable) {
            retry_later();
            co_return false;
        }
        why = frozen.error().message;
    }
    const bool look_again = co_await stop(now, Act::Pause);
    if (!node_->stopping && !unit_.view())
        hold(now, fmt::format("it was stopped, as it could not be frozen: {}", why));
    co_return look_again;
}

asio::awaitable<bool> ProcessSupervisor::resume() {
    const auto thawed = co_await node_->systemd.thaw(serving_name());
    if (node_->stopping) co_return false;
    if (!thawed) {
        node_->warn(fmt::format("cannot thaw '{}': {}", name_, thawed.error().message), name_);
        retry_later();
        co_return false;
    }
    unit_.set_frozen(false);
    co_return true;
}

// It is frozen, or does not run and is not started. Its checks rest, and so does the time that an update has.
void ProcessSupervisor::hold(const Facts& now, std::string detail) {
    const bool frozen = unit_.alive();
    const bool on_its_way = state_ == SupervisorState::Preparing || state_ == SupervisorState::Starting ||
                            state_ == SupervisorState::Ready || state_ == SupervisorState::Stopping;
    if (!frozen && on_its_way) take(SupervisorEvent::NotRunning);
    if (frozen && (state_ == SupervisorState::Preparing || state_ == SupervisorState::Stopping))
        take(SupervisorEvent::Executed); // it was found like that
    if (state_ == SupervisorState::Fenced) take(SupervisorEvent::EpochGranted);
    take(SupervisorEvent::Held);
    failed_check_.reset();
    update_watch_.timer.reset();
    retry_ = {};
    auto status = draft(now);
    const auto* before = status.reason ? &*status.reason : nullptr;
    const bool told = status.state == ProcessState::Paused && before && before->kind == StopKind::Paused &&
                      before->by == now.paused->by && before->owner == now.paused->owner &&
                      before->at == now.paused->at;
    if (!told) {
        StopReason reason;
        reason.kind = StopKind::Paused;
        reason.by = now.paused->by;
        reason.owner = now.paused->owner;
        reason.detail = std::move(detail);
        if (!frozen && reason.detail.empty()) add_earlier_end(reason, earlier_end(now));
        status.reason = node_->stamped(std::move(reason), epoch_of(now));
        status.reason->at = now.paused->at;
    }
    status.pid = frozen ? unit_.view()->main_pid : 0;
    if (frozen)
        status.invocation = unit_.view()->invocation;
    else
        status.memory_bytes.reset();
    status.waits_for.clear();
    node_->write_state(std::move(status), ProcessState::Paused);
}

} // namespace p2prc::process
