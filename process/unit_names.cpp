#include "process/unit_names.h"

#include "core/encoding.h"
#include "core/names.h"
#include "core/process_status.h"
#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::process {

constexpr std::string_view service_suffix = ".service";
constexpr std::string_view slice_suffix = ".slice";

constexpr std::string_view second_suffix = "_2";

Turn turn_of(const ProcessStatus& status) noexcept {
    return status.second_unit ? Turn::Second : Turn::First;
}

std::string turn_name(std::string_view process_name, Turn turn) {
    std::string name(process_name);
    if (turn == Turn::Second) name.append(second_suffix);
    return name;
}

std::string unit_name(std::string_view process_name, Turn turn) {
    return std::string(unit_prefix).append(turn_name(process_name, turn)).append(service_suffix);
}

Turn turn_of_unit(std::string_view unit) noexcept {
    if (unit.ends_with(service_suffix)) unit.remove_suffix(service_suffix.size());
    return unit.ends_with(second_suffix) ? Turn::Second : Turn::First;
}

std::string_view process_of_unit(std::string_view unit) noexcept {
    if (!unit.starts_with(unit_prefix) || !unit.ends_with(service_suffix)) return {};
    if (unit.size() <= unit_prefix.size() + service_suffix.size()) return {};
    unit.remove_prefix(unit_prefix.size());
    unit.remove_suffix(service_suffix.size());
    if (unit.ends_with(second_suffix)) unit.remove_suffix(second_suffix.size());
    return unit;
}

std::string owner_slice(std::string_view owner) {
    std::string slice(unit_prefix);
    if (check_node_name(owner)) {
        // At most four times as long as a node's name: shorter than systemd's 255 bytes.
        for (const char c : owner)
            c == '-' ? slice.append("\\x2d") : slice.append(1, c);
    } else {
        slice.append("_").append(to_hex(sha256(as_bytes(owner))), 0, 32); // no node's name has a "_"
    }
    return slice.append(slice_suffix);
}

bool is_process_slice(std::string_view slice) noexcept {
    return slice == process_slice || (slice.starts_with(unit_prefix) && slice.ends_with(slice_suffix));
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
    return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is not a unit name", text::excerpt(unit)));
}

std::string dynamic_user(std::string_view process_name) {
    constexpr std::string_view prefix = "p2p-";
    constexpr std::string_view digest_prefix = "p2p_"; // no process's name makes a name with the other prefix
    constexpr std::size_t longest = 31;                // systemd's valid_user_group_name(), from utmp(5)
    if (prefix.size() + process_name.size() <= longest) return std::string(prefix).append(process_name);
    const auto digest = to_hex(sha256(as_bytes(process_name)));
    return std::string(digest_prefix).append(digest, 0, longest - digest_prefix.size());
}

} // namespace p2prc::process
