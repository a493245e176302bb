#include "state/owner_notes.h"

#include "core/json_members.h"
#include "core/keys.h"
#include "state/fleet_state.h"
#include "state/origins.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <set>

namespace p2prc::state {
namespace {

struct OwnerNote {
    const keys::Family* family = nullptr;
    std::string name; // of the node
    std::string key;  // of the node; empty: not known
    Json note;
};

std::vector<OwnerNote> owner_notes(const OwnState& own) {
    std::vector<OwnerNote> notes;
    for (const auto* family : keys::families()) {
        if (family->kind != keys::Kind::Local || family->subject() != keys::Part::Owner) continue;
        for (const auto& [key, note] : own.range(family->prefix))
            notes.push_back({family, std::string(keys::last_part(key)),
                             json::member<std::string>(*note, owner_key), *note});
    }
    return notes;
}

std::string key_of(const OwnerNote& note, std::string_view name) {
    return std::string(note.family->prefix).append(name);
}

// Of a node that acts under it.
std::string key_of_node(const State& replica, std::string_view name) {
    const auto* entry = replica.records().node(name);
    const auto* record = entry ? entry->accepted() : nullptr;
    return record ? record->key : std::string();
}

// Empty: no node has the key.
std::string name_of_node(const State& replica, std::string_view key) {
    const auto* entry = replica.records().node_with_key(key);
    const auto* record = entry ? entry->accepted() : nullptr;
    return record ? record->name : std::string();
}

std::set<std::string> spinners(OwnState& own, const State& replica, std::string_view self) {
    std::set<std::string> names;
    const Origins origins(own);
    for (const auto process : replica.records().processes_on(self))
        if (const auto* record = replica.records().process(process)->accepted())
            names.insert(origins.spinner(*record, self));
    return names;
}

} // namespace

void rename_owner(OwnState& own, std::string_view key, std::string_view name) {
    std::vector<Change> changes;
    for (auto& note : owner_notes(own)) {
        if (note.key.empty() || note.key != key || note.name == name) continue;
        changes.push_back({key_of(note, note.name), std::nullopt, 0});
        if (auto now = key_of(note, name); !own.contains(now))
            changes.push_back({std::move(now), std::move(note.note), 0});
    }
    if (!changes.empty()) own.update(std::move(changes));
}

namespace {

// What is noted under the former name. A limit counts for both names together, so there is one; a pause is
// taken back for each.
Json former_note(const OwnerNote& note) {
    Json former = note.family->prefix == keys::owner_limits ? Json{{"schema", 1}} : note.note;
    former.erase(owner_key);
    former[former_of] = note.key;
    return former;
}

} // namespace

void follow_owners(OwnState& own, const State& replica, std::string_view self) {
    std::vector<Change> changes;
    std::optional<std::set<std::string>> here; // who has spun something here; hardly ever needed
    const auto is_needed = [&](const std::string& name) {
        if (!here) here = spinners(own, replica, self);
        return here->contains(name);
    };
    for (auto& note : owner_notes(own)) {
        const auto present = key_of_node(replica, note.name);
        if (note.note.contains(former_of)) {
            // Another node may have taken the name since.
            const bool is_anothers =
                !present.empty() && present != json::member<std::string>(note.note, former_of);
            if (is_anothers || !is_needed(note.name))
                changes.push_back({key_of(note, note.name), std::nullopt, 0});
            continue;
        }
        if (note.key.empty() && !present.empty()) {
            note.note[owner_key] = present;
            changes.push_back({key_of(note, note.name), std::move(note.note), 0});
        }
        if (note.key.empty() || note.key == present) continue;
        const auto name = name_of_node(replica, note.key);
        if (name.empty()) continue; // it has left
        auto now = key_of(note, name);
        const auto there = own.get(now);
        const bool is_taken = there && !there->contains(former_of);
        std::optional<Json> left;
        if (is_needed(note.name)) {
            if (is_taken) continue; // what was said of each name counts for that
            left = former_note(note);
        }
        changes.push_back({key_of(note, note.name), std::move(left), 0});
        if (is_taken) continue;
        if (note.family->prefix == keys::owner_limits && !note.note.contains(owner_slice))
            note.note[owner_slice] = note.name;
        changes.push_back({std::move(now), std::move(note.note), 0});
    }
    if (!changes.empty()) own.update(std::move(changes));
}

} // namespace p2prc::state
