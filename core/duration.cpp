#include "core/duration.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <system_error>

namespace p2prc {
namespace {

struct Unit {
    char letter;
    std::uint64_t seconds;
};
constexpr std::array duration_units{Unit{'d', 86400}, Unit{'h', 3600}, Unit{'m', 60}, Unit{'s', 1}};
constexpr std::uint64_t longest_duration = 366 * duration_units.front().seconds;

} // namespace

std::optional<std::uint64_t> parse_duration(std::string_view text) noexcept {
    std::uint64_t number = 0;
    const char* behind = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), behind, number);
    if (error != std::errc{} || behind - end != 1 || number == 0) return std::nullopt;
    for (const auto& unit : duration_units)
        if (unit.letter == *end && number <= longest_duration / unit.seconds) return number * unit.seconds;
    return std::nullopt;
}

std::string duration_text(std::uint64_t seconds) {
    for (const auto& unit : duration_units)
        if (seconds > 0 && seconds % unit.seconds == 0)
            return fmt::format("{}{}", seconds / unit.seconds, unit.letter);
    return "0s";
}

} // namespace p2prc
