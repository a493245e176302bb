#include "daemon/fleet/kills.h"

#include "core/gate.h"
#include "core/json_members.h"
#include "core/local_action.h"
#include "core/process_status.h"
#include "net/clock.h"
#include "net/log.h"
#include "state/fleet_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon {
namespace {

std::string fleet_of(const std::vector<state::Change>& items) {
    const auto found = std::ranges::find(items, keys::fleet, &state::Change::key);
    const bool there = found != items.end() && found->value;
    return there ? json::member<std::string>(*found->value, "id") : std::string();
}

bool is_killed(const ProcessStatus& status) {
    return status.state == ProcessState::Stopped && status.reason && status.reason->kind == StopKind::Killed;
}

} // namespace

Kills::Kills(state::Replica& replica, state::OwnState& own, std::function<std::string()> node)
    : replica_(replica)
    , own_(own)
    , node_(std::move(node)) {
    statuses_ = own_.subscribe(std::string(keys::statuses),
                               [this](std::span<const state::Change> changes) { follow(changes); });
}

std::string Kills::fleet() const {
    const auto record = replica_.get(keys::fleet);
    return record ? json::member<std::string>(*record, "id") : std::string();
}

// Each kill that was applied here is reported as one before the registry forgets it.
void Kills::follow(std::span<const state::Change> statuses) {
    const auto now_in = fleet();
    std::vector<state::Change> changes;
    for (const auto& change : statuses) {
        const auto parsed = keys::parse(change.key);
        if (!change.value || !parsed || parsed->node() != node_()) continue;
        const auto status = status_from_json(*change.value);
        const auto key = keys::killed(parsed->id());
        if (is_killed(status) && !now_in.empty())
            changes.push_back(
                {key,
                 Json{{"schema", 1}, {"fleet", now_in}, {"name", status.name}, {"by", status.reason->by}},
                 0});
        // A registry that lost its count may have given the id out again.
        else if (is_executed(status) && own_.get(key))
            changes.push_back({key, std::nullopt, 0});
    }
    if (changes.empty()) return;
    own_.update(std::move(changes));
    drop_oldest();
}

void Kills::drop_oldest() {
    std::vector<std::pair<std::uint64_t, std::string>> kept;
    for (auto it = own_.entries().lower_bound(keys::killed_here);
         it != own_.entries().end() && it->first.starts_with(keys::killed_here); ++it)
        kept.emplace_back(it->second.revision, it->first);
    if (kept.size() <= most_remembered) return;
    std::ranges::sort(kept);
    std::vector<state::Change> over;
    for (std::size_t i = 0; i < kept.size() - most_remembered; ++i)
        over.push_back({kept[i].second, std::nullopt, 0});
    own_.update(std::move(over));
}

void Kills::repeat(const std::vector<state::Change>& items) {
    const auto node = node_();
    const auto to = fleet_of(items);
    std::vector<state::Change> actions;
    for (const auto& item : items) {
        if (!item.value || !item.key.starts_with(keys::processes)) continue;
        const auto record = accept_process(item.key, *item.value);
        if (!record || record->node != node) continue;
        const auto note = own_.get(keys::killed(record->id));
        if (!note || to.empty() || json::member<std::string>(*note, "fleet") != to ||
            json::member<std::string>(*note, "name") != record->name)
            continue;
        const auto* earlier = own_.records().local_action(node, record->id);
        if (earlier && earlier->is_kill() && !taken_in(*record, *earlier)) continue;
        const LocalAction action{.id = record->id,
                                 .action = "kill",
                                 .sequence =
                                     1 + std::max(folded_sequence(*record), earlier ? earlier->sequence : 0),
                                 .by = json::member<std::string>(*note, "by"),
                                 .at = net::now_rfc3339()};
        actions.push_back({keys::local_action(node, record->id), to_json(action), 0});
        net::log_notice(
            fmt::format("process {} ('{}') was killed, and the fleet's registry, which was restored "
                        "from an older copy, is told again",
                        record->id, record->name));
    }
    if (!actions.empty()) own_.update(std::move(actions));
}

} // namespace p2prc::daemon
