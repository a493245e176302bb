// Domain names in wire form: labels with their lengths, ended by the root's zero byte, never compressed.
#pragma once

#include "core/error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge::dns {

using Name = std::string;

inline constexpr std::size_t max_name = 255;   // RFC 1035 section 2.3.4
inline constexpr std::size_t max_labels = 128; // 127 one-byte labels and the root

// ASCII lower case of one byte (RFC 4343: no other byte has case).
inline constexpr std::array<std::uint8_t, 256> lower_table = [] {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i)
        table[i] = static_cast<std::uint8_t>(i >= 'A' && i <= 'Z' ? i + 32 : i);
    return table;
}();

// An absolute name from text, escapes (RFC 1035 section 5.1) included; a final dot may be left out.
Result<Name> name_from_text(std::string_view text);

// Presentation form without the final dot ("." for the root).
std::string name_to_text(std::string_view name);

Name lower(std::string_view name);

// The name without its first label. `name` is not the root.
inline std::string_view parent(std::string_view name) noexcept {
    return name.substr(1 + static_cast<std::uint8_t>(name[0]));
}

// Whether `name` is `ancestor` or below it; both in lower case.
bool is_at_or_below(std::string_view name, std::string_view ancestor) noexcept;

inline bool is_wildcard(std::string_view name) noexcept {
    return name.size() > 2 && name[0] == 1 && name[1] == '*';
}

// Length of the uncompressed name at the start of `bytes`, or 0 where there is none.
std::size_t name_length(std::string_view bytes) noexcept;

} // namespace p2prc::edge::dns
