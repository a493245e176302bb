// Which processes a user of this very node has asked for: the node's own word, as a record may come from a
// root that is not to be trusted with it.
#pragma once

#include "core/records.h"
#include "state/own_state.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::state {

// What a registry has made of a request.
struct Answered {
    std::uint32_t id = 0;
    std::uint32_t revision = 0;
    std::optional<std::uint32_t> deployment = {}; // nothing: an older registry does not say
};

// Kept in the own state under /spun/<digest of the spec>, and never uploaded.
class Origins {
  public:
    explicit Origins(OwnState& own) : own_(own) {}

    // A user of this node asks for `spec` here: on disk when the own state is flushed, before anybody else
    // hears of it. False when it was noted before, and nothing has come of it yet.
    bool note(const ProcessSpec& spec);
    // What came of it. Another process of the same spec that is asked for elsewhere is not this. `record` is
    // the process as it is known here, nullptr: not yet; what was asked for as earlier revisions that it has
    // forgotten is forgotten here, too.
    void bind(const ProcessSpec& spec, const Answered& answer, const ProcessRecord* record);
    // Nothing came of it.
    void take_back(const ProcessSpec& spec);

    // A user of this node asks for the deployer of `record` to run anew: one later deployment is agreed to.
    // False when that was noted before, or when the process was not spun here.
    bool note_redeployment(const ProcessRecord& record);
    void take_back_redeployment(const ProcessRecord& record);
    // A record that has come: where any deployment was agreed to, that is the one from now on.
    void settle(const ProcessRecord& record);

    // It was killed.
    void forget(const Tombstone& tombstone);

    // Its spec was asked for here, and so was the deployment that the record names: a number that nobody here
    // has asked for would have the deployer of a process of this node run again, with all its rights.
    bool here(const ProcessRecord& record) const;
    // The node whose command it runs, as it has spun the process or made its present revision: `self`, or the
    // one that its record says. A member cannot choose what the registry writes there; a root can.
    std::string spinner(const ProcessRecord& record, std::string_view self) const;

    // What was spun before this was kept, or the own state was lost: once, the records themselves are
    // believed.
    bool kept() const;
    void keep(const State& replica, std::string_view node);

  private:
    // Nothing: its spec was not asked for here.
    std::shared_ptr<const Json> note_about(const ProcessRecord& record) const;

    OwnState& own_;
};

} // namespace p2prc::state
