#include "process/refused_records.h"

#include "core/text.h"

#include <fmt/format.h>

#include <utility>

namespace p2prc::process {

namespace {

constexpr std::size_t longest_name = 60; // shown of a name that is none

bool says_refused(const ProcessStatus& status) {
    return status.state == ProcessState::Failed && status.reason &&
           status.reason->kind == StopKind::StartFailed && status.reason->step == refused_step;
}

} // namespace

void RefusedRecords::judge(std::string_view claimed) {
    const auto* entry = node_.records.agreed().process(claimed);
    if (!entry || entry->record.node != node_.options.node) return;
    if (!entry->refused) return judge_id(entry->record);
    const auto name = text::excerpt(keys::last_part(claimed), longest_name);
    const auto id = entry->record.id;
    const auto* known = node_.records.status(id);
    const auto before = known ? *known : ProcessStatus{};
    const bool free = id != 0 && (!known || (says_refused(before) && before.name == name));
    if (!free || node_.records.owner_of_id(id) || runs_(id)) return node_.warn(entry->refused->message, name);
    ProcessStatus status = before;
    status.id = id;
    status.name = name;
    status.applied = entry->record.change;
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = refused_step;
    reason.detail = entry->refused->message;
    if (known && before.reason->detail == reason.detail && before.applied == status.applied) return;
    status.reason = node_.stamped(std::move(reason), 0);
    node_.write_state(std::move(status), ProcessState::Failed);
}

void RefusedRecords::judge_all() {
    const auto here = node_.records.agreed().processes_on(node_.options.node);
    for (const auto name : here)
        judge(name);
    forget();
}

void RefusedRecords::judge_id(const ProcessRecord& record) {
    const auto holder = node_.records.holder_of_id(record);
    if (holder.empty() || !held_.insert(record.name).second) return;
    node_.warn(fmt::format("{} is not accepted: its id {} is that of '{}' here", keys::process(record.name),
                           record.id, holder),
               record.name);
}

std::vector<std::string> RefusedRecords::no_longer_held() {
    std::vector<std::string> free;
    for (const auto& name : std::exchange(held_, {})) {
        const auto* entry = node_.records.agreed().process(name);
        const auto* record = entry ? entry->accepted() : nullptr;
        if (record && record->node == node_.options.node && !node_.records.holder_of_id(*record).empty())
            held_.insert(name);
        else
            free.push_back(name);
    }
    return free;
}

void RefusedRecords::forget() {
    if (node_.replica.store_id().empty()) return;
    std::vector<state::Change> over;
    for (const auto& [id, status] : node_.own.records().statuses(node_.options.node)) {
        const auto& agreed = node_.records.agreed();
        if (says_refused(*status) && !node_.records.id_is_taken(status->id) && !agreed.tombstone(status->id))
            over.push_back({keys::status(node_.options.node, id), std::nullopt, 0});
    }
    if (!over.empty()) node_.own.update(std::move(over));
}

} // namespace p2prc::process
