// Invitations: one secret for one node, valid until it expires; never replicated.
#pragma once

#include "registry/request.h"

#include <map>

namespace p2prc::registry {

struct Invitation {
    std::string id;     // 32 hexadecimal digits
    std::string secret; // 64 hexadecimal digits
    Role role = Role::Member;
    std::int64_t expires = 0; // Unix seconds
    std::string created_by;
    std::string key;  // of the node that has redeemed it; empty: nobody yet
    std::string node; // its name
};

std::optional<Invitation> find_invitation(const Draft& draft, std::string_view id);
std::vector<Invitation> all_invitations(const Draft& draft);
void put_invitation(Draft& draft, const Invitation& invitation);
void erase_invitation(Draft& draft, std::string_view id);

} // namespace p2prc::registry
