#include "process/supervisor.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

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

ProcessStatus ProcessSupervisor::draft(const Facts& now) const {
    const auto* before = records().status(now.id);
    auto status = before ? *before : ProcessStatus{};
    status.id = now.id;
    status.name = name_;
    status.node = node_->options.node;
    status.boot_id = node_->options.boot_id;
    status.second_unit = turn_ == Turn::Second;
    // Epochs only rise, also where the record is from an older copy of the registry.
    status.epoch = std::max(status.epoch, epoch_of(now));
    if (status.digest.empty() && now.record) status.digest = now.record->digest;
    return status;
}

void ProcessSupervisor::observe(const Facts& now) {
    if (!unit_.alive()) return;
    const auto& unit = *unit_.view();
    const bool another = std::exchange(run_, unit.invocation) != unit.invocation;
    if (another) run_began_ = unit.changed_at;
    if (!unit.up())
        take(unit.active_state == "deactivating" ? SupervisorEvent::Deactivating : SupervisorEvent::Executed);
    else if (another || (state_ != SupervisorState::Starting && state_ != SupervisorState::Ready))
        take(SupervisorEvent::Executed);
    if (unit.up() && !watch_ && state_ == SupervisorState::Starting && watch(now))
        take(SupervisorEvent::BecameReady);
    auto status = draft(now);
    const auto before = status;
    if (!now.status && now.record) status.applied = wanted(now).change;
    status.state = reported_state(state_);
    const bool same_digest = now.record && unit.digest == now.record->digest;
    if (status.revision == 0 && same_digest) status.revision = now.record->revision;
    // An earlier version has not written it.
    if (another && same_digest) status.command = deployed_command(*now.record);
    if (state_ == SupervisorState::Ready && std::exchange(status.ready_run, run_) != run_) note_ready(status);
    if (state_ == SupervisorState::Ready || another) status.waits_for.clear();
    status.pid = unit.main_pid;
    if (state_ == SupervisorState::Starting && !unit.up() && unit.main_pid != 0 && now.record &&
        is_by(now.record->spec.ready.probe, Probe::Kind::Notify))
        status.waits_for = "it has not told systemd that it is ready (READY=1)";
    status.invocation = unit.invocation;
    status.restarts = unit.restarts;
    // A revision that needed no restart is not on the unit.
    const bool adjusted = now.status && now.status->invocation == unit.invocation && status.revision != 0;
    if (!unit.digest.empty() && !adjusted) status.digest = unit.digest;
    const bool thawed = before.state == ProcessState::Paused && status.invocation == before.invocation;
    if (!now.status || status.state != before.state || status.invocation != before.invocation)
        status.since = rfc3339_of(thawed ? 0 : unit.changed_at);
    if (now.record && records().id_of(name_, unit) != now.record->id) {
        // The same process, by its digest, under a new id that does not name the old one.
        node_->own.erase(keys::status(node_->options.node, unit.process));
        if (const auto kept = node_->options.data.rename(*now.record); !kept)
            node_->warn(kept.error().message, name_);
    } else if (now.record && unit.process != 0 && unit.process != now.record->id) {
        // Its note must have the id of now before another revision asks for the data.
        (void)node_->options.data.rename(*now.record);
    }
    if (now.record && !unit.digest.empty() && unit.digest != now.record->digest && !now.status)
        node_->warn(
            fmt::format(
                "'{}' runs another version of its process file than the fleet has; restart it to change that",
                name_),
            name_);
    node_->write(status);
    watch_update(facts());
}

// Of what does not run, before it is recorded who wanted that; nothing: there was none.
Boxed<StopReason> ProcessSupervisor::earlier_end(const Facts& now) const {
    if (!now.status) return {};
    if (lost_with_its_boot(*now.status, node_->options.boot_id))
        return node_->lost_with_boot(*now.status, epoch_of(now));
    return was_up(*now.status) ? Boxed<StopReason>() : now.status->reason;
}

void ProcessSupervisor::add_earlier_end(StopReason& reason, Boxed<StopReason> ended) {
    if (!ended) return;
    reason.detail = "it had ended before: " + how_it_had_ended(*ended);
    reason.log = std::move(ended->log);
}

// It is not to run, and does not: the reason is who asked for that, and says how it had ended before.
void ProcessSupervisor::settle(const Facts& now) {
    const auto want = wanted(now);
    auto status = draft(now);
    status.applied = want.change;
    auto ended = earlier_end(now);
    StopReason reason;
    reason.kind = want.killed ? StopKind::Killed : StopKind::Stopped;
    if (!ended || ended->kind != reason.kind) {
        reason.by = want.by;
        add_earlier_end(reason, std::move(ended));
        status.reason = node_->stamped(std::move(reason), epoch_of(now));
    }
    if (!unit_.alive()) take(SupervisorEvent::NotRunning);
    node_->write_state(std::move(status), ProcessState::Stopped);
}

// The step of a start that could not even be tried.
void ProcessSupervisor::refuse(const Facts& now, std::string step, const Error& error) {
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = std::move(step);
    reason.detail = error.hint.empty() ? error.message : error.message + "; " + error.hint;
    if (successor_) return give_up_beside(now, std::move(reason));
    // Another process may run under its name.
    if (state_ == SupervisorState::Preparing || (state_ == SupervisorState::Starting && !unit_.alive()))
        take(SupervisorEvent::Refused);
    auto status = draft(now);
    if (now.record) status.applied = wanted(now).change;
    status.reason = node_->stamped(std::move(reason), epoch_of(now));
    if (take_back(status, now)) return;
    node_->write_state(std::move(status), ProcessState::Failed);
}

// What was reported of a process before its node came into this fleet goes on under its new id.
void ProcessSupervisor::rename_status() {
    const auto* record = records().record(name_);
    if (!record) return;
    const auto id = record->id;
    const auto former_ids = record->former_ids;                  // writing changes what is pointed to
    for (const auto former : former_ids | std::views::reverse) { // what was said last counts
        const auto* before = records().status(former);
        if (!before || before->name != name_) continue;
        auto status = *before;
        std::vector<state::Change> changes;
        changes.push_back({keys::status(node_->options.node, former), std::nullopt, 0});
        if (!records().status(id)) {
            status.id = id;
            changes.push_back({keys::status(node_->options.node, id), status_to_json(status), 0});
            if (const auto stops = node_->own.get(keys::stops(node_->options.node, former)))
                changes.push_back({keys::stops(node_->options.node, id), *stops, 0});
        }
        node_->own.update(std::move(changes));
    }
}

// Ends of killed processes are reported, and forgotten when the registry has taken the report in.
void ProcessSupervisor::report_kills() {
    const auto& alive = unit_.alive() ? unit_ : other_;
    const std::uint32_t running = alive.alive() ? records().id_of(name_, *alive.view()) : 0;
    const auto dead = records().agreed().tombstones_of(name_);
    for (const auto id : dead) {
        const auto* tombstone = records().tombstone(id);
        if (!tombstone || tombstone->node != node_->options.node || tombstone->id == running) continue;
        const auto* before = records().status(id);
        ProcessStatus status = before ? *before : ProcessStatus{};
        if (before && status.reason && status.reason->kind == StopKind::Killed) continue;
        status.id = id;
        status.name = name_;
        status.pid = 0;
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = tombstone->by;
        status.reason = node_->stamped(std::move(reason), 0);
        node_->write_state(std::move(status), ProcessState::Stopped);
    }
    const auto reported = node_->own.records().statuses_of(node_->options.node, name_);
    for (const auto id : reported) {
        const auto* status = records().status(id);
        const bool killed = status && status->reason && status->reason->kind == StopKind::Killed;
        if (!killed || status->id == running || records().agreed().tombstone(status->id)) continue;
        const auto* record = records().record(name_);
        if (!record || record->id != status->id) node_->own.erase(keys::status(node_->options.node, id));
    }
}

} // namespace p2prc::process
