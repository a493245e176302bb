#include "process/reconciler_impl.h"

#include <ranges>

namespace p2prc::process {

// What was reported of a process before its node came into this fleet goes on under its new id.
void Reconciler::Impl::rename_status(const std::string& name) {
    const auto* record = record_of(name);
    if (!record) return;
    const auto id = record->id;
    const auto former_ids = record->former_ids;                  // writing changes what is pointed to
    for (const auto former : former_ids | std::views::reverse) { // what was said last counts
        const auto* before = written(former);
        if (!before || before->name != name) continue;
        auto status = *before;
        std::vector<state::Change> changes;
        changes.push_back({keys::status(options.node, former), std::nullopt, 0});
        if (!written(id)) {
            status.id = id;
            changes.push_back({keys::status(options.node, id), status_to_json(status), 0});
        }
        own_.update(std::move(changes));
    }
}

// Ends of killed processes are reported, and forgotten when the registry has taken the report in.
void Reconciler::Impl::report_kills(const std::string& name) {
    const auto slot = slots_.find(name);
    const std::uint32_t running = slot != slots_.end() && slot->second.unit && !slot->second.unit->dead()
                                      ? id_of(name, *slot->second.unit)
                                      : 0;
    const auto dead = agreed().tombstones_of(name);
    for (const auto id : dead) {
        const auto* tombstone = tombstone_of(id);
        if (!tombstone || tombstone->node != options.node || tombstone->id == running) continue;
        const auto* before = written(id);
        ProcessStatus status = before ? *before : ProcessStatus{};
        if (before && status.reason && status.reason->kind == StopKind::Killed) continue;
        Facts of_dead;
        of_dead.id = id;
        status.id = id;
        status.name = name;
        status.pid = 0;
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = tombstone->by;
        status.reason = stamped(reason, of_dead);
        write_state(std::move(status), ProcessState::Stopped);
    }
    const auto reported = own_.records().statuses_of(options.node, name);
    for (const auto id : reported) {
        const auto* status = written(id);
        const bool killed = status && status->reason && status->reason->kind == StopKind::Killed;
        if (!killed || status->id == running || agreed().tombstone(status->id)) continue;
        const auto* record = record_of(name);
        if (!record || record->id != status->id) own_.erase(keys::status(options.node, id));
    }
}

// Local actions that the registry has taken in, or whose process is no more. In another fleet ids begin anew:
// what is left of a kill would meet the process that is given the same one.
void Reconciler::Impl::forget_actions() {
    if (replica_.store_id().empty()) return; // nothing was ever received: it proves nothing
    std::vector<state::Change> over;
    for (const auto& [key, value] : own_.range(keys::local_actions)) {
        const auto parsed = keys::parse(key);
        const bool mine = parsed && parsed->node() == options.node;
        const auto* record = mine ? owner_of_id(parsed->id()) : nullptr;
        const auto* action = mine ? own_.records().local_action(options.node, parsed->id()) : nullptr;
        if (!record || taken_in(*record, *action)) over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) own_.update(std::move(over));
}

} // namespace p2prc::process
