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

// Members of a note: the deployments that were agreed to, without them whichever comes first; whether one
// more was, whatever its number; and the revision after which one more may come.
constexpr const char* deployments = "deployments";
constexpr const char* any_deployment = "any_deployment";
constexpr const char* again_after = "again_after";

// A registry that was restored from an older copy may name one that is not the last.
constexpr std::size_t most_deployments = 16;

Json note_of(const ProcessSpec& spec, std::uint32_t id, std::uint32_t revision = 0) {
    Json note{{"schema", 1}, {"name", spec.name}};
    if (id != 0) note["id"] = id;
    if (revision != 0) note["revision"] = revision;
    return note;
}

void agree_to(Json& note, std::uint32_t deployment) {
    auto agreed = json::member<std::vector<std::uint32_t>>(note, deployments);
    if (std::ranges::count(agreed, deployment) == 0) agreed.push_back(deployment);
    if (agreed.size() > most_deployments) agreed.erase(agreed.begin());
    note[deployments] = agreed;
    note.erase(any_deployment);
    const auto after = json::optional_member<std::uint32_t>(note, again_after);
    if (after && deployment > *after) note.erase(again_after);
}

bool is_agreed_to(const Json& note, std::uint32_t deployment) {
    if (!note.contains(deployments) || note.contains(any_deployment)) return true;
    if (std::ranges::count(json::member<std::vector<std::uint32_t>>(note, deployments), deployment) > 0)
        return true;
    const auto after = json::optional_member<std::uint32_t>(note, again_after);
    return after && deployment > *after;
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
    auto key = key_of(spec);
    const auto before = own_.get(key);
    if (before && (!before->contains(deployments) || before->contains(any_deployment))) return false;
    auto now = before ? *before : note_of(spec, 0);
    if (before) now[any_deployment] = true;
    own_.set(std::move(key), std::move(now));
    return true;
}

void Origins::bind(const ProcessSpec& spec, const Answered& answer, const ProcessRecord* record) {
    std::vector<Change> changes;
    if (record && record->id == answer.id) {
        std::set<std::string> kept{key_of(record->spec)};
        for (const auto& former : record->former)
            kept.insert(key_of(former.spec));
        for (const auto& [key, note] : own_.range(keys::spun_here))
            // The record may not know the latest of them yet.
            if (key != marker && json::member<std::uint32_t>(*note, "id") == answer.id &&
                json::member<std::uint32_t>(*note, "revision") < record->revision &&
                !kept.contains(std::string(key)))
                changes.push_back({std::string(key), std::nullopt, 0});
    }
    auto key = key_of(spec);
    auto now = note_of(spec, answer.id, answer.revision);
    if (const auto before = own_.get(key))
        for (const auto* member : {deployments, any_deployment, again_after})
            if (before->contains(member)) now[member] = (*before)[member];
    // Of one that is spun again and stays as it is, a deployment was agreed to already; an answer names no
    // other.
    if (answer.deployment && is_agreed_to(now, *answer.deployment)) agree_to(now, *answer.deployment);
    changes.push_back({std::move(key), std::move(now), 0});
    own_.update(std::move(changes));
}

void Origins::take_back(const ProcessSpec& spec) {
    auto key = key_of(spec);
    const auto before = own_.get(key);
    if (!before || !before->contains(any_deployment)) return own_.erase(std::move(key));
    auto now = *before;
    now.erase(any_deployment);
    own_.set(std::move(key), std::move(now));
}

bool Origins::note_redeployment(const ProcessRecord& record) {
    const auto before = note_about(record);
    if (!before || before->contains(again_after)) return false;
    auto now = *before;
    if (!now.contains(deployments)) agree_to(now, record.deployment);
    now[again_after] = last_revision(record);
    own_.set(key_of(record.spec), std::move(now));
    return true;
}

void Origins::take_back_redeployment(const ProcessRecord& record) {
    const auto before = note_about(record);
    if (!before) return;
    auto now = *before;
    now.erase(again_after);
    own_.set(key_of(record.spec), std::move(now));
}

void Origins::settle(const ProcessRecord& record) {
    const auto before = note_about(record);
    if (!before || !is_agreed_to(*before, record.deployment)) return;
    auto now = *before;
    agree_to(now, record.deployment);
    if (now != *before) own_.set(key_of(record.spec), std::move(now));
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
    const auto note = note_about(record);
    return note && (record.spec.deploy.strategy.empty() || is_agreed_to(*note, record.deployment));
}

std::shared_ptr<const Json> Origins::note_about(const ProcessRecord& record) const {
    // The digest in the record is a claim like the rest of it.
    auto note = record.name == record.spec.name ? own_.get(key_of(record.spec)) : nullptr;
    return note && is_of(*note, record.id, record.former_ids) ? note : nullptr;
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
