// What this node is in its fleet, and how that changes: a table of states, events, and which event leads from
// which state to which.
//
// Pure: Fleet does the work of each change and says what came of it. Only one change is made at a time,
// because no event begins another one while one is under way.
//
// What is on the disk in each state, and where the next start goes on if p2prcd ends there. "root" stands for
// the root's key and addresses in fleet.json, "handover" for luggage.json.
//
//   state         root  registry.db  handover   the next start is
//   Starting      as the last p2prcd left it    the same again
//   Root          -     yes          -          Root
//   NoRegistry    -     damaged      -          NoRegistry, or Root once a backup is in its place
//   Initialising  -     yes          -          Root: what the registry has agreed to holds
//   Joining       -     yes          -          Root: if the root has admitted the node, the join is asked
//                                               for again, and what happened here meanwhile counts
//     admitted    yes   yes, or not  -          Member: the file is left of the time before
//   Connecting    yes   -            maybe      Member or LeavePending
//   Member        yes   -            -          Member
//   Leaving       yes   -            yes        LeavePending
//   LeavePending  yes   -            yes        LeavePending; Returning if the replica lacks this node
//   Returning     yes   -            yes        the same
//     alone       -     maybe        yes        Returning: the registry is made anew of the handover
//   Stopped       as the state before
#pragma once

#include "core/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::daemon {

enum class RoleState : std::uint8_t {
    Starting,     // what it is, is being read
    Root,         // the registry is here: it is standalone, or the root of a fleet
    NoRegistry,   // the registry would be here, but cannot be had
    Initialising, // the registry here is being given a name, a zone or addresses
    Joining,      // a root was asked to take this node and what it has
    Connecting,   // a member, admitted or told where its root is now, whose link is waited for
    Member,       // the registry is the root's
    Leaving,      // the root was asked to release this node
    LeavePending, // it has not answered: the link will tell whether it did
    Returning,    // no member any more: a registry of its own is made, of what it takes along
    Stopped,      // p2prcd ends
};

enum class RoleEvent : std::uint8_t {
    // Asked for by people.
    Init,
    Join,
    Rejoin,
    Leave,
    // What came of it.
    RegistryOpened, // the registry here can be used
    RegistryKept,   // it stays what it was: initialised or not, and not admitted elsewhere
    RegistryLost,   // it cannot be had
    Admitted,       // the root has this node and what it had
    Belongs,        // this node is a member, and no leave of it is open
    Unanswered,     // it is, but the root has not said whether it has released it
    Released,       // the root has released it, does not list it, or is left without being asked
    Stop,
};

// Nothing: the event has no place there.
std::optional<RoleState> next(RoleState from, RoleEvent event) noexcept;
std::string_view name_of(RoleState state) noexcept;
std::string_view name_of(RoleEvent event) noexcept;

class RoleChange {
  public:
    RoleState state() const noexcept { return state_; }
    bool is(RoleState state) const noexcept { return state_ == state; }
    bool stopped() const noexcept { return state_ == RoleState::Stopped; }
    // One change excludes another.
    bool under_way() const noexcept;
    // Between two registries: what is written now would stay behind.
    bool between_registries() const noexcept;

    // Refuses an event that has no place now, and says why; nothing has changed then.
    Result<void> take(RoleEvent event);

  private:
    RoleState state_ = RoleState::Starting;
};

Error role_is_changing();
Error p2prcd_is_stopping();

} // namespace p2prc::daemon
