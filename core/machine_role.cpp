#include "core/machine_role.h"

namespace p2prc {

const char* role_name(MachineRole role) noexcept {
    return role == MachineRole::Edge ? "edge" : "connector";
}

std::string role_subject(MachineRole role) {
    return std::string(role_name(role)) + " role";
}

std::string role_is_off(MachineRole role) {
    return std::string("p2prcd has not turned the ") + role_name(role) + " on";
}

const char* how_to_turn_roles_on(bool root) noexcept {
    return root ? "p2prc init --domain and --public-ip of this fleet, again"
                : "p2prc join with a token of this fleet, again";
}

} // namespace p2prc
