#include "process/reconciler_impl.h"
#include "state/origins.h"

#include <algorithm>

namespace p2prc::process {

const ProcessRecord* Reconciler::Impl::record_of(std::string_view name) const {
    const auto* entry = agreed().process(name);
    const auto* record = entry ? entry->accepted() : nullptr;
    return record && record->node == options.node && holder_of_id(*record).empty() ? record : nullptr;
}

// The name of another process of this node that has the record's id; empty: none has. No registry gives an id
// out twice. One that was restored from an older copy may not have heard yet which ids its nodes know; one in
// the wrong hands would have two processes share all that is kept by id, their status first of all.
std::string Reconciler::Impl::holder_of_id(const ProcessRecord& record) const {
    const auto runs_it = [&](const std::string& name) {
        const auto slot = slots_.find(name);
        return slot != slots_.end() && slot->second.unit && !slot->second.unit->dead() &&
               slot->second.unit->process == record.id;
    };
    const auto* status = written(record.id);
    if (!status || status->name == record.name || runs_it(record.name)) return {};
    const auto* entry = agreed().process(status->name);
    const auto* holder = entry ? entry->accepted() : nullptr;
    const bool here = holder && holder->node == options.node;
    return (here ? holder->id == record.id : runs_it(status->name)) ? status->name : "";
}

const Tombstone* Reconciler::Impl::tombstone_of(std::uint32_t id) const {
    const auto* entry = agreed().tombstone(id);
    return entry ? entry->accepted() : nullptr;
}

bool Reconciler::Impl::id_is_taken(std::uint32_t id) const {
    return agreed().process(id) != nullptr;
}

// An accepted record of this node with the id.
const ProcessRecord* Reconciler::Impl::owner_of_id(std::uint32_t id) const {
    for (const auto* entry : agreed().processes_with(id))
        if (const auto* record = entry->accepted(); record && record->node == options.node) return record;
    return nullptr;
}

const ProcessStatus* Reconciler::Impl::written(std::uint32_t id) const {
    return own_.records().status(options.node, id);
}

// The id of what a unit runs: the unit itself keeps the one under which it was started.
std::uint32_t Reconciler::Impl::id_of(const std::string& name, const UnitView& unit) const {
    const auto* record = record_of(name);
    if (unit.process == 0 || (record && record->id == unit.process)) return unit.process;
    for (const auto id : agreed().tombstones_of(name)) {
        const auto* tombstone = tombstone_of(id);
        if (tombstone && tombstone->node == options.node &&
            std::ranges::count(tombstone->former_ids, unit.process) > 0)
            return tombstone->id;
    }
    if (record && std::ranges::count(record->former_ids, unit.process) > 0) return record->id;
    return record || written(unit.process) ? unit.process : reported_id(name).value_or(unit.process);
}

// The id under which this node last said that the name runs. Between two registries there is no record that
// knows the ids which its process had.
std::optional<std::uint32_t> Reconciler::Impl::reported_id(const std::string& name) const {
    for (const auto id : own_.records().statuses_of(options.node, name)) {
        const auto* status = written(id);
        if (was_up(status->state) && !id_is_taken(id)) return id;
    }
    return {};
}

Reconciler::Impl::Facts Reconciler::Impl::facts(const std::string& name, const Slot& slot) const {
    Facts now;
    if (const auto* record = record_of(name)) now.record = *record;
    const std::uint32_t unit_id = slot.unit ? id_of(name, *slot.unit) : 0;
    now.id = now.record ? now.record->id : unit_id;
    if (const auto* status = written(now.id)) now.status = *status;
    const auto* local = own_.records().local_action(options.node, now.id);
    if (local) now.local = *local;
    if (now.record && unit_id != 0 && unit_id != now.id) {
        // A kill is of its id alone: what runs may have been spun since from the same file.
        const bool for_another = now.local && wanted(*now.record, &*now.local).killed &&
                                 !(now.status && was_up(now.status->state));
        now.same_process = !for_another && slot.unit->digest == now.record->digest &&
                           slot.unit->digest == spec_digest(now.record->spec) && !id_is_taken(unit_id);
    }
    if (unit_id != 0) {
        // A number of another registry may be another process's here.
        const auto* tombstone = tombstone_of(unit_id);
        if (tombstone && tombstone->name == name && tombstone->node == options.node)
            now.tombstone = *tombstone;
        const auto* of_unit = own_.records().local_action(options.node, unit_id);
        // A local kill counts for as long as the record is there: without one it has been taken in.
        const bool killed_here = now.record && unit_id == now.id && wanted(*now.record, of_unit).killed;
        now.killed = now.tombstone.has_value() || killed_here;
        now.killed_by = now.tombstone ? now.tombstone->by : of_unit ? of_unit->by : "";
    }
    return now;
}

// A member cannot choose who the registry says has made a record. A root can; it fills the shares of remote
// processes, and no others.
JobShare Reconciler::Impl::share_of(const ProcessRecord& record) const {
    if (state::Origins(own_).here(record)) return {JobShare::Kind::Local};
    return {JobShare::Kind::Remote, record.created_by.substr(record.created_by.rfind('@') + 1)};
}

// The statuses that say that something without a record runs. Before anything was received there are no
// records, and that proves nothing; what a tombstone ends is reported first; and what ran in an earlier boot
// runs again if the registry takes it in.
std::vector<std::string> Reconciler::Impl::left_over(const std::string& name) const {
    std::vector<std::string> keys;
    if (replica_.store_id().empty() || record_of(name)) return keys;
    for (const auto id : own_.records().statuses_of(options.node, name)) {
        const auto* status = written(id);
        if (was_up(status->state) && status->boot_id == options.boot_id && !agreed().tombstone(status->id))
            keys.push_back(keys::status(options.node, id));
    }
    return keys;
}

} // namespace p2prc::process
