#include "process/plan.h"

#include "core/gate.h"

namespace p2prc::process {
namespace {

// It ended as its user or its administrator wanted, or its deployer failed, which is not run again without
// being asked: a boot is no reason to begin again.
bool ended_for_good(const ProcessStatus& status) noexcept {
    if (deployment_failed(status)) return true;
    if (status.state != ProcessState::Stopped || !status.reason) return false;
    return status.reason->kind == StopKind::Finished || status.reason->kind == StopKind::StoppedOutside;
}

// It went to another node.
bool fenced(const ProcessStatus* status) noexcept {
    return status && status->state == ProcessState::Stopped && status->reason &&
           status->reason->kind == StopKind::Fenced;
}

Act plan_stopped(const Situation& now, bool kill, bool runs, bool asked_anew) {
    if (runs && now.same_process) return kill ? Act::Kill : Act::Stop;
    // Nobody saw it end: first find out how it did.
    if (!runs && now.status && is_executed(*now.status) && now.status->boot_id == now.boot_id)
        return Act::Conclude;
    const bool noted = now.status && !asked_anew && !was_up(*now.status);
    return noted ? Act::Nothing : Act::Settle;
}

Act plan_running(const Situation& now, bool runs, bool asked_anew) {
    if (!now.status) return runs ? Act::Observe : Act::Start;
    if (runs && now.check_failed && !asked_anew) return Act::Abort;
    if (runs && asked_anew) return Act::Restart;
    if (runs) return now.adjustable ? Act::Adjust : Act::Observe;
    if (asked_anew) return Act::Start;
    if (now.status->boot_id != now.boot_id) return ended_for_good(*now.status) ? Act::Nothing : Act::Start;
    if (now.status->state == ProcessState::Deploying) return Act::Start;
    if (now.status->state == ProcessState::Paused && !is_executed(*now.status)) return Act::Start;
    // Starting, and nothing there: p2prcd ended between writing that down and doing it.
    // What has ended well is not there any more either.
    if (now.status->state == ProcessState::Starting && !is_executed(*now.status) && !now.unit && !now.ended)
        return Act::Start;
    return was_up(*now.status) ? Act::Conclude : Act::Nothing;
}

// What is asked for meanwhile, such as a restart, stays to be done.
Act plan_paused(const Situation& now, bool runs, bool asked_anew) {
    if (runs && now.unit->frozen) return Act::Hold;
    if (runs) return now.unit->active_state == "deactivating" ? Act::Observe : Act::Pause;
    const auto* status = now.status;
    const bool this_boot = status && status->boot_id == now.boot_id;
    // Nobody saw it end: first find out how it did.
    if (this_boot && is_executed(*status)) return Act::Conclude;
    // It would not run without the pause either.
    const auto& spec = now.record->spec;
    const bool left_alone = this_boot && status->state == ProcessState::Failed &&
                            spec.run.restart == Restart::No && spec.remedies.empty();
    const bool over = status && !asked_anew && (ended_for_good(*status) || left_alone);
    return over ? Act::Nothing : Act::Hold;
}

} // namespace

Wanted wanted(const ProcessRecord& record, const LocalAction* local) {
    Wanted result{record.desired, false, record.change, record.changed_by};
    if (!local || local->id != record.id || taken_in(record, *local)) return result;
    result.desired = local->desired();
    result.killed = local->is_kill();
    // Ahead of the registry's number by as much as it will be when it has taken the actions in.
    result.change = change_with(record, *local);
    result.by = local->by;
    return result;
}

bool lost_with_its_boot(const ProcessStatus& status, std::string_view boot_id) noexcept {
    return status.boot_id != boot_id && was_up(status);
}

bool deployment_failed(const ProcessStatus& status) noexcept {
    return status.state == ProcessState::Failed && status.reason &&
           status.reason->kind == StopKind::DeployFailed;
}

bool was_up(const ProcessStatus& status) noexcept {
    return status.state == ProcessState::Running || status.state == ProcessState::Starting ||
           status.state == ProcessState::Stopping || is_executed(status);
}

bool runs_anew(const ProcessStatus& written, const UnitView& unit, std::string_view boot_id) noexcept {
    if (unit.dead() || written.boot_id != boot_id) return false;
    if (written.invocation.empty()) return unit.restarts > written.restarts;
    return !unit.invocation.empty() && unit.invocation != written.invocation;
}

Act plan(const Situation& now) {
    const bool runs = now.unit && !now.unit->dead();
    if (now.killed && runs) return Act::Kill;
    if (now.elsewhere) return Act::Fence;
    if (!now.record) return runs ? Act::Observe : now.left_over ? Act::Forget : Act::Nothing;
    const bool was_fenced = !runs && fenced(now.status);
    // The record is from before it went.
    if (was_fenced && now.record->epoch <= now.status->epoch) return Act::Nothing;
    auto want = wanted(*now.record, now.local);
    if (runs && !now.same_process && !want.killed) return Act::Occupied;
    const auto ahead =
        now.status && now.status->applied > want.change ? now.status->applied - want.change : 0;
    if (ahead > 0 && ahead <= most_changes_ahead) {
        // The record is from before what was done here: its registry was restored from an older copy, and
        // takes in what this node reports. Nothing is done again or undone meanwhile.
        want.change = now.status->applied;
        want.desired = stopped_on_request(*now.status) ? Desired::Stopped : Desired::Running;
    }
    const bool asked_anew = was_fenced || (now.status && now.status->applied != want.change);
    if (want.desired == Desired::Running && now.paused) return plan_paused(now, runs, asked_anew);
    // Who else freezes it has reasons for that.
    const bool was_paused = !now.status || now.status->state == ProcessState::Paused;
    if (want.desired == Desired::Running && runs && now.unit->frozen && was_paused) return Act::Resume;
    if (want.desired == Desired::Running && now.rolls_back) return Act::Restart;
    if (want.desired == Desired::Stopped) return plan_stopped(now, want.killed, runs, asked_anew);
    return plan_running(now, runs, asked_anew);
}

} // namespace p2prc::process
