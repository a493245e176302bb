#include "core/text.h"
#include "daemon/process/reconciler_impl.h"
#include "daemon/process/reconciler_keys.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon {

namespace {

constexpr std::size_t longest_name = 60; // shown of a name that is none

template <class T>
T member(const Json& document, const char* key) {
    const auto found = document.is_object() ? document.find(key) : document.end();
    if (found == document.end()) return {};
    if constexpr (std::is_same_v<T, std::string>)
        return found->is_string() ? found->get<std::string>() : T{};
    else
        return found->is_number_unsigned() ? static_cast<T>(found->get<std::uint64_t>()) : T{};
}

bool says_refused(const ProcessStatus& status) {
    return status.state == ProcessState::Failed && status.reason &&
           status.reason->kind == StopKind::StartFailed && status.reason->step == refused_step;
}

} // namespace

// What the gate does not let in is never acted upon, and never passed over in silence: it has a status, where
// its id is not that of something else here, and a line in the journal.
void Reconciler::Impl::judge_record(std::string_view key, const Json& document) {
    if (member<std::string>(document, "node") != options.node) return;
    const auto accepted = accept_process(key, document);
    if (accepted) return;
    const auto name = text::excerpt(last_part(key), longest_name);
    const auto id = member<std::uint32_t>(document, "id");
    const auto* written = own_.get(keys::status(options.node, id));
    const auto before = written ? status_from_json(*written) : ProcessStatus{};
    const bool free = id != 0 && (!written || (says_refused(before) && before.name == name));
    if (!free || owner_of_id(id) || runs(id)) {
        if (options.warn) options.warn(accepted.error().message, name);
        return;
    }
    Facts now;
    now.id = id;
    ProcessStatus status = before;
    status.id = id;
    status.name = name;
    status.applied = member<std::uint64_t>(document, "change");
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = refused_step;
    reason.detail = accepted.error().message;
    if (written && before.reason->detail == reason.detail && before.applied == status.applied) return;
    status.reason = stamped(std::move(reason), now);
    write_state(std::move(status), ProcessState::Failed);
}

// An accepted record of this node with the id.
bool Reconciler::Impl::owner_of_id(std::uint32_t id) const {
    return std::ranges::any_of(replica_.range(processes_prefix), [&](const auto& item) {
        const auto record = accepted(item.first, item.second, &accept_process);
        return record && record->id == id && record->node == options.node;
    });
}

bool Reconciler::Impl::runs(std::uint32_t id) const {
    return std::ranges::any_of(slots_, [&](const auto& item) {
        const auto& unit = item.second.unit;
        return unit && !unit->dead() && unit->process == id;
    });
}

void Reconciler::Impl::judge_all_records() {
    for (const auto& [key, document] : replica_.range(processes_prefix))
        judge_record(key, *document);
    forget_refused();
}

// The records are gone, or in order by now.
void Reconciler::Impl::forget_refused() {
    if (replica_.store_id().empty()) return;
    std::vector<Change> over;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        const auto status = status_from_json(*value);
        if (says_refused(status) && !id_is_taken(status.id) && !replica_.get(keys::tombstone(status.id)))
            over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) own_.update(std::move(over));
}

} // namespace p2prc::daemon
