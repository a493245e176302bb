#include "core/text.h"
#include "process/reconciler_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::process {

namespace {

constexpr std::size_t longest_name = 60; // shown of a name that is none

bool says_refused(const ProcessStatus& status) {
    return status.state == ProcessState::Failed && status.reason &&
           status.reason->kind == StopKind::StartFailed && status.reason->step == refused_step;
}

} // namespace

// What the gate does not let in is never acted upon, and never passed over in silence: it has a status, where
// its id is not that of something else here, and a line in the journal.
void Reconciler::Impl::judge_record(std::string_view claimed) {
    const auto* entry = agreed().process(claimed);
    if (!entry || entry->record.node != options.node) return;
    if (!entry->refused) return judge_id(entry->record);
    const auto name = text::excerpt(keys::last_part(claimed), longest_name);
    const auto id = entry->record.id;
    const auto* known = written(id);
    const auto before = known ? *known : ProcessStatus{};
    const bool free = id != 0 && (!known || (says_refused(before) && before.name == name));
    if (!free || owner_of_id(id) || runs(id)) {
        if (options.warn) options.warn(entry->refused->message, name);
        return;
    }
    Facts now;
    now.id = id;
    ProcessStatus status = before;
    status.id = id;
    status.name = name;
    status.applied = entry->record.change;
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = refused_step;
    reason.detail = entry->refused->message;
    if (known && before.reason->detail == reason.detail && before.applied == status.applied) return;
    status.reason = stamped(std::move(reason), now);
    write_state(std::move(status), ProcessState::Failed);
}

bool Reconciler::Impl::runs(std::uint32_t id) const {
    return std::ranges::any_of(slots_, [&](const auto& item) {
        const auto& unit = item.second.unit;
        return unit && !unit->dead() && unit->process == id;
    });
}

void Reconciler::Impl::judge_all_records() {
    const auto here = agreed().processes_on(options.node);
    for (const auto name : here)
        judge_record(name);
    forget_refused();
}

void Reconciler::Impl::judge_id(const ProcessRecord& record) {
    const auto holder = holder_of_id(record);
    if (holder.empty() || !held_.insert(record.name).second || !options.warn) return;
    options.warn(fmt::format("{} is not accepted: its id {} is that of '{}' here", keys::process(record.name),
                             record.id, holder),
                 record.name);
}

// Where the other one is gone or has another id, it is as if the record had come now.
void Reconciler::Impl::retry_held() {
    for (const auto& name : std::exchange(held_, {})) {
        const auto* entry = agreed().process(name);
        const auto* record = entry ? entry->accepted() : nullptr;
        if (record && record->node == options.node && !holder_of_id(*record).empty())
            held_.insert(name);
        else
            evaluate(name);
    }
}

// The records are gone, or in order by now.
void Reconciler::Impl::forget_refused() {
    if (replica_.store_id().empty()) return;
    std::vector<state::Change> over;
    for (const auto& [id, status] : own_.records().statuses(options.node))
        if (says_refused(*status) && !id_is_taken(status->id) && !agreed().tombstone(status->id))
            over.push_back({keys::status(options.node, id), std::nullopt, 0});
    if (!over.empty()) own_.update(std::move(over));
}

} // namespace p2prc::process
