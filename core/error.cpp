#include "core/error.h"

#include <array>
#include <cerrno>
#include <system_error>

namespace p2prc {
namespace {

constexpr std::array table{
    ErrorInfo{ErrorCode::NotFound, "NotFound", 3, "No such process, node, domain or file."},
    ErrorInfo{ErrorCode::InvalidSpec, "InvalidSpec", 7,
              "The input is not valid; the message names the place."},
    ErrorInfo{ErrorCode::NotPermitted, "NotPermitted", 4, "The caller may not do this."},
    ErrorInfo{ErrorCode::Unreachable, "Unreachable", 5,
              "The root node, a node or the daemon does not answer."},
    ErrorInfo{ErrorCode::DomainTaken, "DomainTaken", 6, "The domain is held by the process that is named."},
    ErrorInfo{ErrorCode::PortTaken, "PortTaken", 6, "The port is held by the process that is named."},
    ErrorInfo{ErrorCode::NoSuitableNode, "NoSuitableNode", 1, "No node satisfies the placement."},
    ErrorInfo{ErrorCode::Conflict, "Conflict", 6, "It clashes with what exists; the message names it."},
    ErrorInfo{ErrorCode::NotSupported, "NotSupported", 1, "Planned, but not in this version."},
    ErrorInfo{ErrorCode::Failed, "Failed", 1, "It was tried and did not work."},
};

} // namespace

std::span<const ErrorInfo> error_table() noexcept {
    return table;
}

const ErrorInfo& error_info(ErrorCode code) noexcept {
    for (const auto& row : table)
        if (row.code == code) return row;
    return table.back();
}

ErrorCode error_code_from_name(std::string_view name) noexcept {
    if (name.starts_with(error_dbus_prefix)) name.remove_prefix(error_dbus_prefix.size());
    for (const auto& row : table)
        if (row.name == name) return row.code;
    return ErrorCode::Failed;
}

Error system_error(std::string what, int error_number) {
    auto code = ErrorCode::Failed;
    if (error_number == EACCES || error_number == EPERM) code = ErrorCode::NotPermitted;
    if (error_number == ENOENT) code = ErrorCode::NotFound;
    return {code, std::move(what) + ": " + std::generic_category().message(error_number)};
}

} // namespace p2prc
