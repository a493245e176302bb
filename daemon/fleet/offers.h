// Offers this node's processes and their domains to a registry that was restored from an older copy and does
// not know them, and tells it what was killed here.
#pragma once

#include "daemon/fleet/kills.h"
#include "state/own_state.h"
#include "state/replica.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace p2prc::daemon {

// Puts /offers/<node>/<id> into the own state when the replica comes to hold another store's state without
// the process, or without a domain of it; again when what may have been in its way is gone; and takes it away
// when the registry has all of it, or the process was killed, or nothing is left of it.
class Offers {
  public:
    // `node` says this node's name; `moving` whether it is changing its fleet: then what it takes along is
    // not on offer, but for what runs and could not be. All of them must outlive it.
    Offers(state::Replica& replica, state::OwnState& own, std::function<std::string()> node,
           std::function<bool()> moving);

  private:
    void make(const std::vector<state::Change>& items);
    void make_again(std::span<const state::Change> changes);
    void withdraw();
    bool is_settled(std::string_view key, const std::string& fqdn, std::string_view process) const;

    state::Replica& replica_;
    state::OwnState& own_;
    std::function<std::string()> node_;
    std::function<bool()> moving_;
    Kills kills_;
    std::vector<state::Subscription> subscriptions_;
};

} // namespace p2prc::daemon
