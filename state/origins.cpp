#include "state/origins.h"

#include "core/json_members.h"
#include "core/names.h"
#include "state/fleet_state.h"

#include <algorithm>
#include <set>

namespace p2prc::state {
namespace {

// There once everything that is spun here is noted.
constexpr std::string_view marker = keys::spun_here;

std::string key_of(const ProcessSpec& spec) {
    return keys::spun(spec_digest(spec));
}

Json note_of(const ProcessSpec& spec, std::uint32_t id, std::uint32_t revision = 0) {
    Json note{{"schema", 1}, {"name", spec.name}};
    if (id != 0) note["id"] = id;
    if (revision != 0) note["revision"] = revision;
    return note;
}

// The node that has made its present revision.
std::string_view maker_of(const ProcessRecord& record) {
    return node_of(record.revised_by.empty() ? record.created_by : record.revised_by);
}

// Whether a note is of the process with this id or one of these former ones. Without an id its answer is not
// here yet, or was lost.
bool is_of(const Json& note, std::uint32_t id, const std::vector<std::uint32_t>& former_ids) {
    const auto noted = json::member<std::uint32_t>(note, "id");
    return noted == 0 || noted == id || std::ranges::count(former_ids, noted) > 0;
}

} // namespace

bool Origins::note(const ProcessSpec& spec) {
    const auto key = key_of(spec);
    if (own_.get(key)) return false;
    own_.set(key, note_of(spec, 0));
    return true;
}

void Origins::bind(const ProcessSpec& spec, std::uint32_t id, std::uint32_t revision,
                   const ProcessRecord* record) {
    std::vector<Change> changes;
    if (record && record->id == id) {
        std::set<std::string> kept{key_of(record->spec)};
        for (const auto& former : record->former)
            kept.insert(key_of(former.spec));
        for (const auto& [key, note] : own_.range(keys::spun_here))
            // The record may not know the latest of them yet.
            if (key != marker && json::member<std::uint32_t>(*note, "id") == id &&
                json::member<std::uint32_t>(*note, "revision") < record->revision &&
                !kept.contains(std::string(key)))
                changes.push_back({std::string(key), std::nullopt, 0});
    }
    changes.push_back({key_of(spec), note_of(spec, id, revision), 0});
    own_.update(std::move(changes));
}

void Origins::take_back(const ProcessSpec& spec) {
    own_.erase(key_of(spec));
}

void Origins::forget(const Tombstone& tombstone) {
    std::vector<Change> over;
    for (const auto& [key, note] : own_.range(keys::spun_here))
        if (key != marker && json::member<std::string>(*note, "name") == tombstone.name &&
            is_of(*note, tombstone.id, tombstone.former_ids))
            over.push_back({std::string(key), std::nullopt, 0});
    if (!over.empty()) own_.update(std::move(over));
}

bool Origins::here(const ProcessRecord& record) const {
    // The digest in the record is a claim like the rest of it.
    const auto note = record.name == record.spec.name ? own_.get(key_of(record.spec)) : nullptr;
    return note && is_of(*note, record.id, record.former_ids);
}

std::string Origins::spinner(const ProcessRecord& record, std::string_view self) const {
    return std::string(here(record) ? self : maker_of(record));
}

bool Origins::kept() const {
    return own_.get(marker) != nullptr;
}

void Origins::keep(const State& replica, std::string_view node) {
    std::vector<Change> notes;
    notes.push_back({std::string(marker), Json{{"schema", 1}}, 0});
    for (const auto name : replica.records().processes_on(node)) {
        const auto* record = replica.records().process(name)->accepted();
        if (record && maker_of(*record) == node)
            notes.push_back({key_of(record->spec), note_of(record->spec, record->id, record->revision), 0});
    }
    own_.update(std::move(notes));
}

} // namespace p2prc::state
