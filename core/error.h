// The closed set of errors: what went wrong, as text, and what to do next.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

namespace p2prc {

enum class ErrorCode {
    NotFound,       // no process, node, domain or file of that name
    InvalidSpec,    // input that can never be accepted as it is
    NotPermitted,   // the caller may not do this
    Unreachable,    // a root, node or daemon did not answer
    DomainTaken,    // the message names the holder
    PortTaken,      // the message names the holder
    NoSuitableNode, // no node satisfies the placement
    Conflict,       // clashes with something that exists; the message names it
    NotSupported,   // in the contract but "not in this version"
    Failed,         // tried and did not work
};

// An error as a value. `message` names what is wrong; `hint` says what to do next and may be empty.
struct Error {
    ErrorCode code = ErrorCode::Failed;
    std::string message;
    std::string hint = {};

    friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

// One row for each code; D-Bus names, exit statuses and the manual's table are all read from here.
struct ErrorInfo {
    ErrorCode code;
    std::string_view name; // "NotFound": in JSON, and after `org.p2prc1.Error.` on D-Bus
    int exit_status;       // of the command line
    std::string_view description;
};

std::span<const ErrorInfo> error_table() noexcept;
const ErrorInfo& error_info(ErrorCode code) noexcept;
// The code called `name` (with or without the D-Bus prefix); Failed for a name of a later version.
ErrorCode error_code_from_name(std::string_view name) noexcept;

inline constexpr std::string_view error_dbus_prefix = "org.p2prc1.Error.";

// Shorthand for returning an error: `return fail(ErrorCode::NotFound, "no process 'x'", "see p2prc ps");`
inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
    return std::unexpected(Error{code, std::move(message), std::move(hint)});
}

// An Error for a failed system call: `what`, then the text of `error_number`. Code Failed, or NotPermitted
// for EACCES and EPERM, NotFound for ENOENT.
Error system_error(std::string what, int error_number);

} // namespace p2prc
