// Limits each node's share of the registry, because every node keeps all of it, in memory and on disk.
#pragma once

#include "registry/request.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::registry::rules {

struct Quota {
    std::size_t processes;    // that were asked for from the node or that it brought, with those to end yet
    std::size_t record_bytes; // of these
    std::size_t domains;      // that were mapped from the node
    std::size_t domain_bytes; // of these
    std::size_t owned_keys;   // that the node writes itself
    std::size_t owned_bytes;  // of these, with the keys
};

// An owner is trusted with the fleet; its limit keeps a mistake from filling it.
inline constexpr Quota member_quota{1000, 4u << 20, 2000, 2u << 20, 8192, 2u << 20};
inline constexpr Quota owner_quota{10000, 32u << 20, 20000, 20u << 20, 65536, 16u << 20};

const Quota& quota_of(Role role) noexcept;
// Whether so many more fit under the limit.
bool has_room(std::int64_t taken, std::size_t more, std::size_t limit) noexcept;

// Of one record's specification. What a node offers after a loss of the registry fits into a request then.
inline constexpr std::size_t longest_spec = 64 * 1024;

// Conflict, which says the limit, when the node can have no further process like this one: by what was asked
// for there, or, for one that it brings, by what is on it.
Result<void> check_room_for_process(const Draft& draft, const ProcessRecord& process, std::string_view node,
                                    bool owner);
// The same for a process of which the record would be `process`.
Result<void> check_room_for_change(const Draft& draft, const ProcessRecord& process);
// The same for the next revision of a process, of which `process` is the record as it would be. Where there
// is no room for all former revisions, only those are left in it that count.
Result<void> check_room_for_update(const Draft& draft, ProcessRecord& process);
Result<void> check_room_for_domain(const Draft& draft, std::string_view node, bool owner);
// The same for one more tombstone that the node leaves.
Result<void> check_room_for_tombstone(const Draft& draft, std::string_view node, bool owner);

} // namespace p2prc::registry::rules
