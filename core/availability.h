// What clients of a process can expect, as p2prcd tells its connector.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace p2prc {

enum class Availability : std::uint8_t {
    Running, // and ready, as far as p2prcd knows
    Coming,  // on its way: it is being started or restarted, or is not ready yet
    Stopped, // on request, or because it had finished
    Failed,
};

inline constexpr std::array availability_names{
    std::pair{Availability::Running, std::string_view("running")},
    std::pair{Availability::Coming, std::string_view("coming")},
    std::pair{Availability::Stopped, std::string_view("stopped")},
    std::pair{Availability::Failed, std::string_view("failed")},
};

constexpr std::string_view availability_name(Availability availability) noexcept {
    return availability_names[static_cast<std::size_t>(availability)].second;
}

constexpr std::optional<Availability> availability_from_name(std::string_view name) noexcept {
    for (const auto& [value, text] : availability_names)
        if (text == name) return value;
    return std::nullopt;
}

} // namespace p2prc
