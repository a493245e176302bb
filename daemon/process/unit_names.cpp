#include "daemon/process/unit_names.h"

#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon {

constexpr std::string_view service_suffix = ".service";

std::string unit_name(std::string_view process_name) {
    return std::string(unit_prefix).append(process_name).append(service_suffix);
}

std::string_view process_of_unit(std::string_view unit) noexcept {
    if (!unit.starts_with(unit_prefix) || !unit.ends_with(service_suffix)) return {};
    if (unit.size() <= unit_prefix.size() + service_suffix.size()) return {};
    unit.remove_prefix(unit_prefix.size());
    unit.remove_suffix(service_suffix.size());
    return unit;
}

Result<void> check_unit_name(std::string_view unit) {
    constexpr std::size_t longest = 255; // UNIT_NAME_MAX of systemd
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view(":-_.\\").contains(c);
    };
    const bool named = unit.ends_with(service_suffix) && unit.size() > service_suffix.size();
    if (named && unit.size() <= longest && unit.front() != '.' && std::ranges::all_of(unit, allowed))
        return {};
    return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is no name of a unit", text::excerpt(unit)));
}

std::string dynamic_user(std::uint32_t id) {
    return "p2p-" + std::to_string(id);
}

} // namespace p2prc::daemon
