// What the documents of a state say: each read once, when it changes, and found by id, name, node and domain.
//
// Pure, and without an opinion: it holds what the gate refuses as well, marked as such. Whoever acts upon a
// record asks for `accepted`; whoever lists them for `read`, which leaves out what has no name that could be
// shown.
#pragma once

#include "core/block_set.h"
#include "core/local_action.h"
#include "core/process_status.h"
#include "state/name_index.h"
#include "state/shared_document.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::state {

class FleetState {
  public:
    FleetState() = default;
    FleetState(FleetState&&) = default;
    FleetState& operator=(FleetState&&) = default;
    FleetState(const FleetState&) = delete; // its indexes point into it
    FleetState& operator=(const FleetState&) = delete;

    // They stand in the state, and are valid until it changes.
    using Names = NameIndex::Names;
    template <class Entry>
    using Table = std::map<std::string, Entry, std::less<>>;
    // In the order of their names, which the entries say themselves.
    struct LessByName {
        static std::string_view name_of(std::string_view name) { return name; }
        static std::string_view name_of(const std::shared_ptr<const ProcessEntry>& entry) {
            return entry->record.name;
        }
        static std::string_view name_of(const std::shared_ptr<const DomainEntry>& entry) {
            return entry->record.domain;
        }
        bool operator()(const auto& one, const auto& other) const { return name_of(one) < name_of(other); }
    };
    template <class Entry>
    using Entries = BlockSet<std::shared_ptr<const Entry>, LessByName>;

    // Whether documents of such keys are read here, and there may be many of them.
    static bool keeps_record_of(std::string_view key);
    // A document came, changed or went; keys of no family that is read here are ignored. `shared` is the same
    // document, where it is held as such.
    void put(std::string_view key, const nlohmann::json& document, SharedDocument::Pointer shared = {});
    // The same of one that is_record().
    void put(std::string_view key, const SharedDocument::Pointer& shared);
    void erase(std::string_view key);
    void clear();

    const FleetEntry* fleet() const { return fleet_ ? &*fleet_ : nullptr; }

    const Table<NodeEntry>& nodes() const { return nodes_; }
    const NodeEntry* node(std::string_view name) const;
    // The node with that key of its p2prcd; the first by name where several claim it.
    const NodeEntry* node_with_key(std::string_view fingerprint) const;

    // What lists of processes show of their node's information: its IPv4 address, or else its IPv6 address;
    // empty where it has not said any.
    std::string_view address_of(std::string_view node) const;

    const Entries<ProcessEntry>& processes() const { return processes_; }
    const ProcessEntry* process(std::string_view name) const;
    const ProcessEntry* process(std::uint32_t id) const; // the first by name
    // All that claim the id: one, unless the registry is faulty.
    std::vector<const ProcessEntry*> processes_with(std::uint32_t id) const;
    Names processes_on(std::string_view node) const;

    const Entries<DomainEntry>& domains() const { return domains_; }
    const DomainEntry* domain(std::string_view fqdn) const;
    Names domains_of(std::string_view process) const;
    Names domains_on(std::string_view node) const;

    const std::map<std::uint32_t, TombstoneEntry>& tombstones() const { return tombstones_; }
    const TombstoneEntry* tombstone(std::uint32_t id) const;
    const std::set<std::uint32_t>& tombstones_of(std::string_view process) const;
    const std::set<std::uint32_t>& tombstones_on(std::string_view node) const;

    // The last report about a process, by the node that its key names.
    const std::map<std::uint32_t, std::shared_ptr<const ProcessStatus>>&
    statuses(std::string_view node) const;
    const ProcessStatus* status(std::string_view node, std::uint32_t id) const;
    std::vector<std::uint32_t> statuses_of(std::string_view node, std::string_view process) const;

    const std::map<std::uint32_t, LocalAction>& local_actions(std::string_view node) const;
    const LocalAction* local_action(std::string_view node, std::uint32_t id) const;

  private:
    using Ids = std::set<std::uint32_t>;
    using IdIndex = std::map<std::string, Ids, std::less<>>;
    struct Reports {
        std::map<std::uint32_t, std::shared_ptr<const ProcessStatus>> by_id;
        BlockSet<std::pair<std::string_view, std::uint32_t>, std::less<>> by_name;
    };

    void put_node(const std::string& key, std::string_view name, const nlohmann::json& document);
    void put_address(std::string_view node, const nlohmann::json& info);
    void put_process(std::shared_ptr<const ProcessEntry> entry);
    void put_domain(std::shared_ptr<const DomainEntry> entry);
    void put_tombstone(const std::string& key, std::uint32_t id, const nlohmann::json& document);
    void put_status(std::string_view node, std::uint32_t id, std::shared_ptr<const ProcessStatus> status);
    void erase_node(std::string_view name);
    void erase_process(std::string_view name);
    void erase_domain(std::string_view fqdn);
    void erase_tombstone(std::uint32_t id);
    void erase_status(std::string_view node, std::uint32_t id);

    std::optional<FleetEntry> fleet_;
    Table<NodeEntry> nodes_;
    NameIndex nodes_by_key_;
    BlockMap<std::string> addresses_; // by node
    Entries<ProcessEntry> processes_;
    BlockSet<std::pair<std::uint32_t, std::string_view>, std::less<>> processes_by_id_;
    NameIndex processes_by_node_;
    Entries<DomainEntry> domains_;
    NameIndex domains_by_process_;
    NameIndex domains_by_node_;
    std::map<std::uint32_t, TombstoneEntry> tombstones_;
    IdIndex tombstones_by_name_;
    IdIndex tombstones_by_node_;
    std::map<std::string, Reports, std::less<>> statuses_;
    std::map<std::string, std::map<std::uint32_t, LocalAction>, std::less<>> local_actions_;
};

} // namespace p2prc::state
