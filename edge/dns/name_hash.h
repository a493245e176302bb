// A hash of names that grows label by label from the root, so that one pass yields those of all ancestors.
#pragma once

#include <cstdint>
#include <string_view>

namespace p2prc::edge::dns {

inline constexpr std::uint32_t root_hash = 2166136261;

// The hash of a name from that of its parent and its first label, length byte included (FNV-1a).
inline std::uint32_t label_hash(std::uint32_t parent, std::string_view label) noexcept {
    for (const char c : label)
        parent = (parent ^ static_cast<std::uint8_t>(c)) * 16777619;
    return parent;
}

} // namespace p2prc::edge::dns
