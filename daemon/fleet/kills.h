// Remembers what was killed on this node, whoever asked for it, and tells a registry that was restored from
// an older copy and has it again.
#pragma once

#include "state/own_state.h"
#include "state/replica.h"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Kept in the own state under /killed/<id>, and never uploaded. It is the node's own word about its own
// processes. No registry gives an id out twice; in another fleet it is another process's.
class Kills {
  public:
    // The oldest is forgotten for one more.
    static constexpr std::size_t most_remembered = 4096;

    // `node` says this node's name. All of them must outlive it.
    Kills(state::Replica& replica, state::OwnState& own, std::function<std::string()> node);

    // Called before the replica comes to hold `items`, the state of another store: what is killed and in
    // there is killed once more, as if a user of this node asked for it now.
    void repeat(const std::vector<state::Change>& items);

  private:
    void follow(std::span<const state::Change> statuses);
    void drop_oldest();
    std::string fleet() const;

    state::Replica& replica_;
    state::OwnState& own_;
    std::function<std::string()> node_;
    state::Subscription statuses_;
};

} // namespace p2prc::daemon
