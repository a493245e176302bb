#include "process/node_records.h"

#include "core/gate.h"
#include "process/plan.h"
#include "process/unit_names.h"
#include "state/origins.h"
#include "state/owner_limits.h"

#include <algorithm>

namespace p2prc::process {

const ProcessRecord* NodeRecords::record(std::string_view name) const {
    const auto* entry = agreed().process(name);
    const auto* record = entry ? entry->accepted() : nullptr;
    return record && record->node == node_ && holder_of_id(*record).empty() ? record : nullptr;
}

bool NodeRecords::runs_under(std::string_view name, std::uint32_t id) const {
    const auto* unit = unit_of_(name);
    return unit && unit->alive_as(id);
}

std::string NodeRecords::holder_of_id(const ProcessRecord& record) const {
    const auto* written = status(record.id);
    if (!written || written->name == record.name || runs_under(record.name, record.id)) return {};
    const auto* entry = agreed().process(written->name);
    const auto* holder = entry ? entry->accepted() : nullptr;
    const bool here = holder && holder->node == node_;
    return (here ? holder->id == record.id : runs_under(written->name, record.id)) ? written->name : "";
}

const ProcessRecord* NodeRecords::elsewhere(std::string_view name) const {
    const auto* entry = agreed().process(name);
    const auto* record = entry ? entry->accepted() : nullptr;
    return record && record->node != node_ ? record : nullptr;
}

const Tombstone* NodeRecords::tombstone(std::uint32_t id) const {
    const auto* entry = agreed().tombstone(id);
    return entry ? entry->accepted() : nullptr;
}

const ProcessRecord* NodeRecords::owner_of_id(std::uint32_t id) const {
    for (const auto* entry : agreed().processes_with(id))
        if (const auto* record = entry->accepted(); record && record->node == node_) return record;
    return nullptr;
}

const ProcessStatus* NodeRecords::status(std::uint32_t id) const {
    return own_.records().status(node_, id);
}

std::uint32_t NodeRecords::id_of(const std::string& name, const UnitView& unit) const {
    const auto* of_name = record(name);
    if (unit.process == 0 || (of_name && of_name->id == unit.process)) return unit.process;
    for (const auto id : agreed().tombstones_of(name)) {
        const auto* dead = tombstone(id);
        if (dead && dead->node == node_ && std::ranges::count(dead->former_ids, unit.process) > 0)
            return dead->id;
    }
    if (of_name && std::ranges::count(of_name->former_ids, unit.process) > 0) return of_name->id;
    const auto* moved = elsewhere(name);
    if (moved && std::ranges::count(moved->former_ids, unit.process) > 0 && status(moved->id))
        return moved->id;
    return of_name || status(unit.process) ? unit.process : reported_id(name).value_or(unit.process);
}

// The id under which this node last said that the name runs. Between two registries there is no record that
// knows the ids which its process had.
std::optional<std::uint32_t> NodeRecords::reported_id(const std::string& name) const {
    for (const auto id : own_.records().statuses_of(node_, name))
        if (was_up(*status(id)) && !id_is_taken(id)) return id;
    return {};
}

Facts NodeRecords::facts(const std::string& name) const {
    Facts now;
    const auto* observed = unit_of_(name);
    const auto* unit = observed ? observed->view() : nullptr;
    if (const auto* of_name = record(name)) now.record = *of_name;
    const std::uint32_t unit_id = unit ? id_of(name, *unit) : 0;
    now.id = now.record ? now.record->id : unit_id;
    if (const auto* moved = elsewhere(name); moved && (now.id == 0 || now.id == moved->id)) {
        // Without a status it was never here.
        const auto* here = status(moved->id);
        const bool later = here && moved->epoch > here->epoch;
        if (later && here->name == name && moved->epoch - here->epoch <= most_changes_ahead) {
            now.elsewhere = *moved;
            now.id = moved->id;
        }
    }
    if (const auto* written = status(now.id)) now.status = *written;
    if (now.record) now.paused = state::Pauses(own_).of(*now.record, spinner_of(*now.record));
    if (now.record && now.status && now.status->update && went_back(*now.status->update) &&
        (now.record->outcome == Outcome::Pending || now.record->outcome == Outcome::Good) &&
        now.status->update->revision == now.record->revision)
        if (const auto* fallback = former_revision(*now.record, now.status->update->fallback))
            apply_revision(*now.record, *fallback);
    const auto* local = own_.records().local_action(node_, now.id);
    if (local) now.local = *local;
    if (now.record && unit_id != 0 && unit_id != now.id) {
        // A kill is of its id alone: what runs may have been spun since from the same file.
        const bool for_another =
            now.local && wanted(*now.record, &*now.local).killed && !(now.status && was_up(*now.status));
        now.same_process = !for_another && unit->digest == now.record->digest &&
                           unit->digest == spec_digest(now.record->spec) && !id_is_taken(unit_id);
    }
    if (unit_id != 0) {
        // A number of another registry may be another process's here.
        const auto* dead = tombstone(unit_id);
        if (dead && dead->name == name && dead->node == node_) now.tombstone = *dead;
        const auto* of_unit = own_.records().local_action(node_, unit_id);
        // A local kill counts for as long as the record is there: without one it has been taken in.
        const bool killed_here = now.record && unit_id == now.id && wanted(*now.record, of_unit).killed;
        now.killed = now.tombstone.has_value() || killed_here;
        now.killed_by = now.tombstone ? now.tombstone->by : of_unit ? of_unit->by : "";
    }
    return now;
}

// A root can choose the node that is named there: it fills the shares of remote processes, and no others.
JobShare NodeRecords::share_of(const ProcessRecord& record) const {
    if (origin_of(record) == Origin::Local) return {JobShare::Kind::Local};
    return {JobShare::Kind::Remote, spinner_of(record)};
}

std::string NodeRecords::slice_of(const ProcessRecord& record) const {
    if (origin_of(record) == Origin::Local) return std::string(process_slice);
    return owner_slice(state::OwnerLimits(own_).slice_name(spinner_of(record)));
}

std::string NodeRecords::spinner_of(const ProcessRecord& record) const {
    return state::Origins(own_).spinner(record, node_);
}

Origin NodeRecords::origin_of(const ProcessRecord& record) const {
    return state::Origins(own_).here(record) ? Origin::Local : Origin::Remote;
}

// Before anything was received there are no records, and that proves nothing; what a tombstone ends is
// reported first; and what ran in an earlier boot runs again if the registry takes it in.
std::vector<std::string> NodeRecords::left_over(const std::string& name) const {
    std::vector<std::string> keys;
    if (replica_.store_id().empty() || record(name)) return keys;
    for (const auto id : own_.records().statuses_of(node_, name)) {
        const auto* written = status(id);
        const bool runs = was_up(*written) || written->state == ProcessState::Deploying;
        if (runs && written->boot_id == boot_id_ && !agreed().tombstone(written->id))
            keys.push_back(keys::status(node_, id));
    }
    return keys;
}

} // namespace p2prc::process
