// What this node runs and a registry that was restored from an older copy does not know is offered to it.
#pragma once

#include "daemon/state/own_state.h"
#include "daemon/state/replica.h"

#include <functional>
#include <string>

namespace p2prc::daemon {

// Puts /offers/<node>/<id> into the own state when the replica comes to hold another store's state without
// it, and takes it away when the registry has it, has killed it, or it has ended.
class Offers {
  public:
    // `node` says this node's name. All of them must outlive it.
    Offers(Replica& replica, OwnState& own, std::function<std::string()> node);

  private:
    void make(const std::vector<Change>& items);
    void withdraw();

    Replica& replica_;
    OwnState& own_;
    std::function<std::string()> node_;
    std::vector<Subscription> subscriptions_;
};

} // namespace p2prc::daemon
