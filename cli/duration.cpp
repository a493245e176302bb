#include "cli/duration.h"

#include <charconv>
#include <system_error>

namespace p2prc::cli {

std::optional<std::uint64_t> parse_duration(std::string_view text) noexcept {
    constexpr std::uint64_t day = 86400;
    std::uint64_t number = 0;
    const char* behind = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), behind, number);
    const std::string_view unit(end, static_cast<std::size_t>(behind - end));
    const std::uint64_t factor = unit == "s"   ? 1
                                 : unit == "m" ? 60
                                 : unit == "h" ? 3600
                                 : unit == "d" ? day
                                               : 0;
    if (error != std::errc{} || factor == 0 || number == 0 || number > 366 * day / factor)
        return std::nullopt;
    return number * factor;
}

} // namespace p2prc::cli
