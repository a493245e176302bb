#include "daemon/process/reconciler_impl.h"
#include "daemon/process/reconciler_keys.h"

#include <algorithm>

namespace p2prc::daemon {

std::optional<ProcessRecord> Reconciler::Impl::record_of(const std::string& name) const {
    const auto key = keys::process(name);
    auto record = accepted(key, replica_.get(key), &accept_process);
    if (record && record->node != options.node) return {};
    return record;
}

bool Reconciler::Impl::id_is_taken(std::uint32_t id) const {
    for (const auto& [key, value] : replica_.range(processes_prefix))
        if (const auto found = value->find("id"); found != value->end() && *found == id) return true;
    return false;
}

// The id of what a unit runs: the unit itself goes on carrying the one under which it was started.
std::uint32_t Reconciler::Impl::id_of(const std::string& name, const UnitView& unit) const {
    const auto record = record_of(name);
    if (unit.process == 0 || (record && record->id == unit.process)) return unit.process;
    for (const auto& [key, value] : replica_.range(tombstones_prefix)) {
        const auto tombstone = accepted(key, value, &accept_tombstone);
        if (tombstone && tombstone->name == name && tombstone->node == options.node &&
            std::ranges::count(tombstone->former_ids, unit.process) > 0)
            return tombstone->id;
    }
    if (record && std::ranges::count(record->former_ids, unit.process) > 0) return record->id;
    return unit.process;
}

Reconciler::Impl::Facts Reconciler::Impl::facts(const std::string& name, const Slot& slot) const {
    Facts now;
    now.record = record_of(name);
    const std::uint32_t unit_id = slot.unit ? id_of(name, *slot.unit) : 0;
    now.id = now.record ? now.record->id : unit_id;
    if (const auto* status = own_.get(keys::status(options.node, now.id)))
        now.status = status_from_json(*status);
    const auto local_of = [&](std::uint32_t id) -> std::optional<LocalAction> {
        const auto* document = own_.get(local_prefix(options.node) + std::to_string(id));
        if (!document) return {};
        auto action = local_action_from_json(*document);
        action.id = id;
        return action;
    };
    now.local = local_of(now.id);
    if (now.record && unit_id != 0 && unit_id != now.id)
        now.same_process = slot.unit->digest == now.record->digest &&
                           slot.unit->digest == spec_digest(now.record->spec) && !id_is_taken(unit_id);
    if (unit_id != 0) {
        const auto key = keys::tombstone(unit_id);
        now.tombstone = accepted(key, replica_.get(key), &accept_tombstone);
        // A number of another registry may be another process's here.
        if (now.tombstone && (now.tombstone->name != name || now.tombstone->node != options.node))
            now.tombstone.reset();
        const auto local = local_of(unit_id);
        // A local kill counts for as long as the record is there: without one it has been taken in.
        const bool killed_here =
            now.record && unit_id == now.id && wanted(*now.record, local ? &*local : nullptr).killed;
        now.buried = now.tombstone.has_value() || killed_here;
        now.buried_by = now.tombstone ? now.tombstone->by : local ? local->by : "";
    }
    return now;
}

// The statuses that say that something without a record runs. Before anything was received there are no
// records, and that proves nothing; what a tombstone ends is reported first; and what ran in an earlier boot
// runs again if the registry takes it in.
std::vector<std::string> Reconciler::Impl::left_over(const std::string& name) const {
    std::vector<std::string> keys;
    if (replica_.store_id().empty() || record_of(name)) return keys;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        if (!is_named(*value, name)) continue;
        const auto status = status_from_json(*value);
        if (was_up(status.state) && status.boot_id == options.boot_id &&
            !replica_.get(keys::tombstone(status.id)))
            keys.emplace_back(key);
    }
    return keys;
}

} // namespace p2prc::daemon
