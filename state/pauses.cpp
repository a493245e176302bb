#include "state/pauses.h"

#include "core/json_members.h"
#include "state/fleet_state.h"

#include <algorithm>
#include <utility>

namespace p2prc::state {
namespace {

Json note_of(const Pause& pause) {
    return {{"schema", 1}, {"by", pause.by}, {"at", pause.at}};
}

Pause read(const Json& note) {
    return {json::member<std::string>(note, "by"), json::member<std::string>(note, "at")};
}

// By its present id or a former one: it may have come into another fleet since.
template <class Record>
bool is_of(const Json& note, const Record& record) {
    const auto id = json::member<std::uint32_t>(note, "id");
    return id == record.id || std::ranges::count(record.former_ids, id) > 0;
}

} // namespace

std::optional<Pause> Pauses::of(const ProcessRecord& record, std::string_view spinner) const {
    const auto note = own_.get(keys::paused(record.name));
    if (note && is_of(*note, record)) return read(*note);
    return of_owner(spinner);
}

std::optional<Pause> Pauses::of_owner(std::string_view node) const {
    const auto note = own_.get(keys::paused_owner(node));
    if (!note) return std::nullopt;
    auto pause = read(*note);
    pause.owner = node;
    return pause;
}

std::vector<std::string> Pauses::owners() const {
    std::vector<std::string> names;
    for (const auto& [key, note] : own_.range(keys::paused_owners))
        names.emplace_back(keys::last_part(key));
    return names;
}

void Pauses::pause(const ProcessRecord& record, const Pause& pause) {
    const auto key = keys::paused(record.name);
    if (const auto before = own_.get(key); before && is_of(*before, record)) return;
    auto note = note_of(pause);
    note["id"] = record.id;
    own_.set(key, std::move(note));
}

void Pauses::pause_owner(std::string_view node, const Pause& pause) {
    const auto key = keys::paused_owner(node);
    if (!own_.get(key)) own_.set(key, note_of(pause));
}

bool Pauses::resume(const ProcessRecord& record) {
    const auto key = keys::paused(record.name);
    const auto note = own_.get(key);
    if (!note || !is_of(*note, record)) return false;
    own_.erase(key);
    return true;
}

bool Pauses::resume_owner(std::string_view node) {
    const auto key = keys::paused_owner(node);
    if (!own_.get(key)) return false;
    own_.erase(key);
    return true;
}

void Pauses::forget_over(const State& replica) {
    const auto& agreed = replica.records();
    std::vector<Change> over;
    for (const auto& [key, note] : own_.range(keys::paused_here)) {
        const auto name = keys::last_part(key);
        const auto* process = agreed.process(name);
        const auto* record = process ? process->accepted() : nullptr;
        const bool killed = std::ranges::any_of(agreed.tombstones_of(name), [&](std::uint32_t id) {
            const auto* tombstone = agreed.tombstone(id);
            return tombstone && is_of(*note, tombstone->record);
        });
        if (killed || (record && !is_of(*note, *record))) {
            over.push_back({std::string(key), std::nullopt, 0});
        } else if (record && json::member<std::uint32_t>(*note, "id") != record->id) {
            // Another registry may give the number it had in the one before to another process.
            auto now = *note;
            now["id"] = record->id;
            over.push_back({std::string(key), std::move(now), 0});
        }
    }
    if (!over.empty()) own_.update(std::move(over));
}

} // namespace p2prc::state
