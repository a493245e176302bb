// The vocabulary of requests to the registry, and who may make them, in one table.
#pragma once

#include <span>
#include <string_view>

namespace p2prc::daemon {

// What the role of the caller allows; the rules of each method narrow it further.
enum class Access {
    Local,  // this node's own p2prcd only, whatever the role
    Owner,  // nodes with the role owner
    Member, // any node of the fleet
    Guest,  // a node that is not yet in the fleet, vouched for by an invitation
};

struct Method {
    std::string_view name;
    Access access;
    std::string_view
        params; // "name" or "name?" (optional), separated by spaces; all but owned state carry "by"
    std::string_view result;
    std::string_view documentation;
};

std::span<const Method> method_table() noexcept;
const Method* find_method(std::string_view name) noexcept; // nullptr: unknown

} // namespace p2prc::daemon
