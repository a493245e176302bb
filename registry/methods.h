// The vocabulary of requests to the registry, who may make them and by which rule they are answered: one
// table.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string_view>

namespace p2prc::registry {

// Who may call a method, by the kind of link and the role; the rules of each method narrow it further. Each
// kind of caller has its own methods: what proves one of them to be what it says holds for no other.
enum class Access {
    Local,  // this node's own p2prcd only, whatever the role; never over a link
    Owner,  // nodes with the role owner, here or over the control link
    Member, // any node of the fleet, here or over the control link
    Guest,  // over the join link only: a machine that is not in the fleet, vouched for by an invitation
};

struct Request;

struct Method {
    std::string_view name;
    Access access;
    std::string_view
        params; // "name" or "name?" (optional), separated by spaces; all but owned state carry "by"
    std::string_view result;
    std::string_view documentation;
    Result<nlohmann::json> (*rule)(Request&); // registry/rules.h
    std::string_view doing = {};              // what an owner's method does, for the people whom it refuses
    bool commits = true;                      // false: what its rule writes is thrown away
};

std::span<const Method> method_table() noexcept;
const Method* find_method(std::string_view name) noexcept; // nullptr: unknown

} // namespace p2prc::registry
