// What this node knows, read as one: the replica, and over it what the node itself writes.
#pragma once

#include "core/records.h"
#include "daemon/state/state.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

class View {
  public:
    // Both must outlive it. `node` gives this node's present name.
    // `reachable`: whether the replica follows the registry now; without it, it always does.
    View(State& replica, State& own, std::function<std::string()> node, std::function<bool()> reachable = {});

    std::string node() const { return node_(); }
    State& replica() const { return *replica_; }
    State& own() const { return *own_; }

    // Owned keys of this node come from its own state, which is newer; all others from the replica.
    const Json* get(const std::string& key) const;

    std::optional<FleetRecord> fleet() const;
    std::vector<NodeRecord> nodes() const;
    std::optional<NodeRecord> node_record(const std::string& name) const;
    // Without those that were killed here while the registry was away.
    std::vector<ProcessRecord> processes() const;
    std::vector<DomainRecord> domains() const;
    // NotFound says how to list what there is.
    Result<ProcessRecord> find_process(const std::string& id_name_or_domain) const;
    std::optional<ProcessRecord> process(const std::string& name) const;
    std::optional<ProcessRecord> process_with_id(std::string_view id) const;
    // A process without a record, which the registry could not take in yet.
    std::optional<ProcessRecord> offered(const std::string& id) const;
    std::optional<DomainRecord> domain(const std::string& fqdn) const;

    // "up", "suspect" or "lost"; this node is up, a node that was never heard of is lost.
    std::string live(const std::string& node) const;
    // Since when that is so, RFC 3339; empty where nobody said.
    std::string live_since(const std::string& node) const;
    // When the root last heard of it; empty when that is not known.
    std::string last_heard(const std::string& node) const;
    bool killed_here(const ProcessRecord& record) const;

  private:
    State* replica_;
    State* own_;
    std::function<std::string()> node_;
    std::function<bool()> reachable_;
};

// /edge/NODE, which the fleet's root writes: {up (b), detail, since}.
std::string edge_key(const std::string& node);

// The process that an offer of its node is about; nothing when it cannot be read.
std::optional<ProcessRecord> offered_process(const Json& offer);

} // namespace p2prc::daemon
