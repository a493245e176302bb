// Which processes a user of this very node has asked for: the node's own word, as a record may come from a
// root that is not to be trusted with it.
#pragma once

#include "core/records.h"
#include "state/own_state.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::state {

// Kept in the own state under /spun/<digest of the spec>, and never uploaded.
class Origins {
  public:
    explicit Origins(OwnState& own) : own_(own) {}

    // A user of this node asks for `spec` here: on disk when the own state is flushed, before anybody else
    // hears of it. False when it was noted before.
    bool note(const ProcessSpec& spec);
    // The process that came of it, as which of its revisions. Another one of the same spec that is asked for
    // elsewhere is not this. `record` is the process as it is known here, nullptr: not yet; what was asked
    // for as earlier revisions that it has forgotten is forgotten here, too.
    void bind(const ProcessSpec& spec, std::uint32_t id, std::uint32_t revision, const ProcessRecord* record);
    // Nothing came of it.
    void take_back(const ProcessSpec& spec);
    // It was killed.
    void forget(const Tombstone& tombstone);

    bool here(const ProcessRecord& record) const;
    // The node whose command it runs, as it has spun the process or made its present revision: `self`, or the
    // one that its record says. A member cannot choose what the registry writes there; a root can.
    std::string spinner(const ProcessRecord& record, std::string_view self) const;

    // What was spun before this was kept, or the own state was lost: once, the records themselves are
    // believed.
    bool kept() const;
    void keep(const State& replica, std::string_view node);

  private:
    OwnState& own_;
};

} // namespace p2prc::state
