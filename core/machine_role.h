// What a machine does for its fleet besides running processes, and what to say where that is off and needed.
#pragma once

#include <string>

namespace p2prc {

enum class MachineRole { Edge, Connector };

// "edge" or "connector".
const char* role_name(MachineRole role) noexcept;
// Of the check of a node that needs it: "edge role".
std::string role_subject(MachineRole role);

// Starting the units of a role by hand does nothing while it is off: p2prcd has to turn it on.
std::string role_is_off(MachineRole role);
// On the fleet's root, or on a member.
const char* how_to_turn_roles_on(bool root) noexcept;

} // namespace p2prc
