// What the owner of this machine has paused: single processes, and all of another node. The node's own word,
// which no registry is asked for.
#pragma once

#include "core/records.h"
#include "state/own_state.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::state {

struct Pause {
    std::string by;         // "user@node"
    std::string at;         // RFC 3339
    std::string owner = {}; // the node all of whose processes are paused; empty: this process alone
    friend bool operator==(const Pause&, const Pause&) = default;
};

// Kept in the own state under /paused/<process> and /paused-owners/<node>, and never uploaded. On disk when
// the own state is flushed.
class Pauses {
  public:
    explicit Pauses(OwnState& own) : own_(own) {}

    // `spinner`: the node that has spun it. A process's own pause comes before that of its owner.
    std::optional<Pause> of(const ProcessRecord& record, std::string_view spinner) const;
    std::optional<Pause> of_owner(std::string_view node) const;
    // The nodes that are paused as a whole.
    std::vector<std::string> owners() const;

    // What is paused already stays as it is.
    void pause(const ProcessRecord& record, const Pause& pause);
    void pause_owner(std::string_view node, const Pause& pause);
    // False: it was not paused by itself.
    bool resume(const ProcessRecord& record);
    bool resume_owner(std::string_view node);

    // Of processes that were killed, and of former ones of a name that another has now; what has another id
    // by now is noted with that. What is not in the replica at all may be there again: absence proves
    // nothing.
    void forget_over(const State& replica);

  private:
    OwnState& own_;
};

} // namespace p2prc::state
