#include "daemon/process/unit_names.h"

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

std::string dynamic_user(std::uint32_t id) {
    return "p2p-" + std::to_string(id);
}

std::string data_directory(std::string_view process_name) {
    return std::string(data_root).append("/").append(process_name);
}

} // namespace p2prc::daemon
