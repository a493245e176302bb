// One reading view of all that this node knows: the replica, overlaid with the node's own state.
#pragma once

#include "core/records.h"
#include "state/fleet_state.h"
#include "state/state.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

// The records of those that the gate accepts, looked at where they stand.
template <class Entry>
auto accepted_in(const state::FleetState::Table<Entry>& table) {
    return table | std::views::values |
           std::views::filter([](const Entry& entry) { return entry.accepted() != nullptr; }) |
           std::views::transform(&Entry::record);
}
template <class Entry>
auto accepted_in(const state::FleetState::Entries<Entry>& entries) {
    return entries | std::views::filter([](const auto& entry) { return entry->accepted() != nullptr; }) |
           std::views::transform([](const auto& entry) -> const auto& { return entry->record; });
}

// Records are looked at where they stand: what is pointed to is valid until a state changes, and no longer
// than to the next co_await.
class View {
  public:
    // Both must outlive it. `node` gives this node's present name.
    // `reachable`: whether the replica follows the registry now; without it, it always does.
    View(state::State& replica, state::State& own, std::function<std::string()> node,
         std::function<bool()> reachable = {});

    std::string node() const { return node_(); }
    state::State& replica() const { return *replica_; }
    state::State& own() const { return *own_; }

    // Owned keys of this node come from its own state, which is newer; all others from the replica.
    std::shared_ptr<const Json> get(const std::string& key) const;

    // Lists of records, made while they are gone through.
    auto nodes() const { return accepted_in(records().nodes()); }
    auto domains() const { return accepted_in(records().domains()); }
    // Those that this node does not accept are listed all the same: their status says why they do not run.
    // Without those that were killed here while the registry was away.
    auto processes() const {
        const auto listed = [this](const auto& entry) {
            return entry->read() && !killed_here(entry->record);
        };
        return records().processes() | std::views::filter(listed) |
               std::views::transform([](const auto& entry) -> const auto& { return entry->record; });
    }
    // nullptr: there is none.
    const FleetRecord* fleet() const;
    const NodeRecord* node_record(std::string_view name) const;
    const ProcessRecord* process(std::string_view name) const;
    const ProcessRecord* process(std::uint32_t id) const;
    std::vector<std::string> process_names() const;
    const DomainRecord* domain(std::string_view fqdn) const;
    // The last report of its node about it.
    const ProcessStatus* status(std::string_view node, std::uint32_t id) const;
    const ProcessStatus* status(const ProcessRecord& record) const { return status(record.node, record.id); }
    // One of those, to be kept when the state changes: it is not copied.
    std::shared_ptr<const ProcessRecord> kept(const ProcessRecord& record) const;
    std::shared_ptr<const DomainRecord> kept(const DomainRecord& record) const;
    // In the order in which they were mapped.
    std::vector<const DomainRecord*> domains_of(const ProcessRecord& process) const;

    // Empty where the node has not said any.
    std::string address_of(std::string_view node) const;

    // A copy, for those that wait. NotFound says how to list what there is, and of what was killed, who did
    // that and when.
    Result<ProcessRecord> find_process(const std::string& id_name_or_domain) const;
    // The registry forgets a tombstone as soon as the process has ended; the last of them are remembered.
    void note_killed(Tombstone tombstone);
    // The same by its node's word alone, which is not taken where there was a tombstone.
    void note_reported_kill(Tombstone reported);
    // A process without a record, which the registry could not take in yet.
    std::optional<ProcessRecord> offered(const std::string& id) const;

    // Whether the replica follows the registry now; what it says of other machines may be out of date
    // otherwise.
    bool is_current() const { return !reachable_ || reachable_(); }
    // What the root says of the fleet's edge; nullptr: nothing, or there is no root.
    std::shared_ptr<const Json> edge() const;
    // "up", "suspect" or "lost"; this node is up, a node that was never heard of is lost.
    std::string live(const std::string& node) const;
    // Since when that is so, RFC 3339; empty where nobody said.
    std::string live_since(const std::string& node) const;
    // When the root last heard of it; empty when that is not known.
    std::string last_heard(const std::string& node) const;
    bool killed_here(const ProcessRecord& record) const;

  private:
    const state::FleetState& records() const { return replica_->records(); }

    state::State* replica_;
    state::State* own_;
    std::function<std::string()> node_;
    std::function<bool()> reachable_;
    std::deque<Tombstone> killed_;
};

} // namespace p2prc::daemon
