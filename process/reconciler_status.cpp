#include "net/clock.h"
#include "process/reconciler_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace p2prc::process {
namespace {

// For a text beside the place and time of another reason. What is stopped is not tried again. If a machine
// was off, the detail says since when.
std::string how_it_had_ended(StopReason reason) {
    reason.node.clear();
    if (const auto at = reason.detail.rfind(next_attempt_words); at != std::string::npos)
        reason.detail.erase(at);
    if (reason.kind == StopKind::PowerLoss || reason.kind == StopKind::Shutdown) reason.at.clear();
    return reason_text(reason);
}

} // namespace

std::string rfc3339_of(std::uint64_t microseconds) {
    if (microseconds == 0) return net::now_rfc3339();
    return net::to_rfc3339(std::chrono::system_clock::time_point(std::chrono::microseconds(microseconds)));
}

void Reconciler::Impl::observe(const std::string& name, const Facts& now) {
    const auto& slot = slots_[name];
    if (!slot.unit || slot.unit->dead()) return;
    const auto& unit = *slot.unit;
    auto status = draft(name, now);
    const auto before = status;
    if (!now.status && now.record)
        status.applied = wanted(*now.record, now.local ? &*now.local : nullptr).change;
    status.state = unit.up()                             ? ProcessState::Running
                   : unit.active_state == "deactivating" ? ProcessState::Stopping
                                                         : ProcessState::Starting;
    status.pid = unit.main_pid;
    status.invocation = unit.invocation;
    status.restarts = unit.restarts;
    if (!unit.digest.empty()) status.digest = unit.digest;
    if (!now.status || status.state != before.state || status.invocation != before.invocation)
        status.since = rfc3339_of(unit.changed_at);
    if (now.record && id_of(name, unit) != now.record->id) {
        // The same process, by its digest, under a new id that does not name the old one.
        own_.erase(keys::status(options.node, unit.process));
        if (const auto kept = options.data.rename(*now.record); !kept && options.warn)
            options.warn(kept.error().message, name);
    }
    if (now.record && !unit.digest.empty() && unit.digest != now.record->digest && !now.status &&
        options.warn)
        options.warn(
            fmt::format(
                "'{}' runs another version of its process file than the fleet has; restart it to change that",
                name),
            name);
    write(status);
}

// It is not to run, and does not: the reason is who asked for that, and says how it had ended before.
void Reconciler::Impl::settle(const std::string& name, const Facts& now) {
    const auto want = wanted(*now.record, now.local ? &*now.local : nullptr);
    auto status = draft(name, now);
    status.applied = want.change;
    Boxed<StopReason> ended;
    if (now.status && lost_with_its_boot(*now.status, options.boot_id))
        ended = lost_with_boot(options.ended_boot == now.status->boot_id, now);
    else if (now.status && !was_up(now.status->state))
        ended = now.status->reason;
    StopReason reason;
    reason.kind = want.killed ? StopKind::Killed : StopKind::Stopped;
    if (!ended || ended->kind != reason.kind) {
        reason.by = want.by;
        if (ended) reason.detail = "it had ended before: " + how_it_had_ended(*ended);
        if (ended) reason.log = std::move(ended->log);
        status.reason = stamped(std::move(reason), now);
    }
    write_state(std::move(status), ProcessState::Stopped);
}

// The step of a start that could not even be tried.
void Reconciler::Impl::refuse(const Facts& now, std::string step, const Error& error) {
    auto status = draft(now.record ? now.record->name : "", now);
    if (now.record) status.applied = wanted(*now.record, now.local ? &*now.local : nullptr).change;
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = std::move(step);
    reason.detail = error.hint.empty() ? error.message : error.message + "; " + error.hint;
    status.reason = stamped(reason, now);
    write_state(std::move(status), ProcessState::Failed);
}

ProcessStatus Reconciler::Impl::draft(const std::string& name, const Facts& now) const {
    const auto* before = written(now.id);
    auto status = before ? *before : ProcessStatus{};
    status.id = now.id;
    status.name = name;
    status.node = options.node;
    status.boot_id = options.boot_id;
    if (now.record) status.epoch = now.record->epoch;
    if (status.digest.empty() && now.record) status.digest = now.record->digest;
    return status;
}

void Reconciler::Impl::write(const ProcessStatus& status) {
    own_.set(keys::status(options.node, status.id), status_to_json(status));
}

void Reconciler::Impl::write_state(ProcessStatus status, ProcessState state) {
    const auto* before = written(status.id);
    if (!before || before->state != state) status.since = net::now_rfc3339();
    status.state = state;
    status.node = options.node;
    status.boot_id = options.boot_id;
    if (state != ProcessState::Running && state != ProcessState::Stopping) {
        status.pid = 0;
        status.memory_bytes.reset();
    }
    write(status);
}

bool Reconciler::Impl::any_lost_with_boot() const {
    return std::ranges::any_of(own_.records().statuses(options.node), [this](const auto& item) {
        return lost_with_its_boot(*item.second, options.boot_id);
    });
}

// The end of a run that its machine did not survive. Without a journal of before, all that is known is when
// it was found out.
StopReason Reconciler::Impl::lost_with_boot(bool clean_shutdown, const Facts& now) const {
    if (!boot_gap_) return stamped(boot_reason(clean_shutdown), now);
    auto reason = boot_reason(clean_shutdown, rfc3339_of(boot_gap_->from), rfc3339_of(boot_gap_->to));
    auto at = reason.at;
    reason = stamped(std::move(reason), now);
    reason.at = std::move(at);
    return reason;
}

StopReason Reconciler::Impl::stamped(StopReason reason, const Facts& now) const {
    reason.node = options.node;
    reason.epoch = now.record ? now.record->epoch : 0;
    reason.at = net::now_rfc3339();
    return reason;
}

} // namespace p2prc::process
