// Which node a note is about that names one: pauses and limits of all that a node spins here. A node is its
// key, and may come back under another name; the notes follow it.
#pragma once

#include "state/own_state.h"
#include "state/state.h"

#include <string>
#include <string_view>
#include <vector>

namespace p2prc::state {

// Members of such a note: the node's key, where it is known; in its stead, in one under a name that the node
// had before, the key of the node that had it; and, of a limit, the slice that its processes are in, where
// that has not the name of the node.
inline constexpr const char* owner_key = "key";
inline constexpr const char* former_of = "former_of";
inline constexpr const char* owner_slice = "slice";

// All notes about the node with that key are under this name from now on. One that is there already stays.
void rename_owner(OwnState& own, std::string_view key, std::string_view name);

// What the agreed state says of the nodes: keys that were not known are noted, and notes about a node that
// has another name now are under that, too. Under the former one something stays for as long as a process on
// `self`, this node, is of that name.
void follow_owners(OwnState& own, const State& replica, std::string_view self);

} // namespace p2prc::state
