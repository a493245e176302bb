// Which node a note is about that names one: pauses and limits of all that a node spins here. A node is its
// key, and may come back under another name; the notes follow it.
#pragma once

#include "state/own_state.h"
#include "state/state.h"

#include <string>
#include <string_view>
#include <vector>

namespace p2prc::state {

// Member of such a note: the node's key, where it is known.
inline constexpr const char* owner_key = "key";

// All notes about the node with that key are under this name from now on. One that is there already stays.
void rename_owner(OwnState& own, std::string_view key, std::string_view name);

// What the agreed state says of the nodes: keys that were not known are noted, and notes about a node that
// has another name now are under that, too. They stay under the former one while a process on `self`, this
// node, is of that name. -> the names under which notes came or went.
std::vector<std::string> follow_owners(OwnState& own, const State& replica, std::string_view self);

} // namespace p2prc::state
