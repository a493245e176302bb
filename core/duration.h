// Lengths of time as people type them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc {

// "90s", "15m", "1h", "7d" as seconds; nothing when it is not of that form, 0, or more than a year.
std::optional<std::uint64_t> parse_duration(std::string_view text) noexcept;

// The same back, in the largest unit that it is a whole number of: "90s", "15m".
std::string duration_text(std::uint64_t seconds);

} // namespace p2prc
