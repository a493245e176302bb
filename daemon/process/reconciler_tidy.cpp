#include "daemon/process/reconciler_impl.h"
#include "daemon/process/reconciler_keys.h"

namespace p2prc::daemon {

// What was reported of a process before its node came into this fleet goes on under its new id.
void Reconciler::Impl::rename_status(const std::string& name) {
    const auto record = record_of(name);
    if (!record) return;
    for (const auto former : record->former_ids) {
        const auto* written = own_.get(keys::status(options.node, former));
        if (!written) continue;
        auto status = status_from_json(*written);
        if (status.name != name) continue;
        std::vector<Change> changes;
        changes.push_back({keys::status(options.node, former), std::nullopt, 0});
        if (!own_.get(keys::status(options.node, record->id))) {
            status.id = record->id;
            changes.push_back({keys::status(options.node, record->id), status_to_json(status), 0});
        }
        own_.update(std::move(changes));
    }
}

// Ends of killed processes are reported, and forgotten when the registry has taken the report in.
void Reconciler::Impl::bury(const std::string& name) {
    const auto slot = slots_.find(name);
    const std::uint32_t running = slot != slots_.end() && slot->second.unit && !slot->second.unit->dead()
                                      ? id_of(name, *slot->second.unit)
                                      : 0;
    for (const auto& [key, value] : replica_.range(tombstones_prefix)) {
        if (!is_named(*value, name)) continue;
        const auto tombstone = accepted(key, value, &accept_tombstone);
        if (!tombstone || tombstone->node != options.node || tombstone->id == running) continue;
        const auto* written = own_.get(keys::status(options.node, tombstone->id));
        ProcessStatus status = written ? status_from_json(*written) : ProcessStatus{};
        if (written && status.reason && status.reason->kind == StopKind::Killed) continue;
        Facts of_dead;
        of_dead.id = tombstone->id;
        status.id = tombstone->id;
        status.name = name;
        status.pid = 0;
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = tombstone->by;
        status.reason = stamped(reason, of_dead);
        write_state(std::move(status), ProcessState::Stopped);
    }
    std::vector<std::string> reported;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        if (!is_named(*value, name)) continue;
        const auto status = status_from_json(*value);
        const bool killed = status.reason && status.reason->kind == StopKind::Killed;
        if (!killed || status.id == running || replica_.get(keys::tombstone(status.id))) continue;
        const auto record = record_of(name);
        if (!record || record->id != status.id) reported.emplace_back(key);
    }
    for (const auto& key : reported)
        own_.erase(key);
}

// Local actions that the registry has taken in, or whose process is no more. In another fleet ids begin anew:
// what is left of a kill would meet the process that is given the same one.
void Reconciler::Impl::forget_actions() {
    if (replica_.store_id().empty()) return; // nothing was ever received: it proves nothing
    std::vector<Change> over;
    for (const auto& [key, value] : own_.range("/local/")) {
        const auto action = local_action_from_json(*value);
        std::optional<ProcessRecord> record;
        if (key.starts_with(local_prefix(options.node)))
            for (const auto& [process_key, document] : replica_.range(processes_prefix))
                if (const auto found = accepted(process_key, document, &accept_process);
                    found && found->node == options.node && std::to_string(found->id) == last_part(key))
                    record = *found;
        if (!record || taken_in(*record, action)) over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) own_.update(std::move(over));
}

} // namespace p2prc::daemon
