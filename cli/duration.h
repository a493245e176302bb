// Lengths of time as people type them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace p2prc::cli {

// "90s", "15m", "1h", "7d" as seconds; nothing when it is not of that form, 0, or more than a year.
std::optional<std::uint64_t> parse_duration(std::string_view text) noexcept;

} // namespace p2prc::cli
