// Reads the status line of an HTTP/1 response, strictly, as it arrives.
#pragma once

#include <cstddef>
#include <string_view>

namespace p2prc::process {

struct HttpStatus {
    int code = 0;            // 100-599
    std::string_view phrase; // within what was read; may be empty, and has any bytes but controls
};

enum class StatusRead { NeedMore, Malformed, Done };

// More than any status line has.
inline constexpr std::size_t longest_status_line = 512;

// `received` is all that has arrived; each call passes the same bytes and more. What is Malformed or Done
// stays so. RFC 9112 section 4, with what section 2.2 and 4 let a client accept: LF alone ends the line, and
// nothing need stand after the code. Versions 1.0 and 1.1: a server may send no other to a request of 1.1.
StatusRead read_http_status(std::string_view received, HttpStatus& status) noexcept;

} // namespace p2prc::process
