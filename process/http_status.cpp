#include "process/http_status.h"

#include <algorithm>

namespace p2prc::process {
namespace {

constexpr std::string_view version_begin = "HTTP/1.";
constexpr std::size_t code_at = version_begin.size() + 2; // a digit and a space
constexpr std::size_t code_digits = 3;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Whether byte `at` of a status line may be `c`.
bool fits(std::size_t at, char c) {
    if (at < version_begin.size()) return c == version_begin[at];
    if (at == version_begin.size()) return c == '0' || c == '1';
    if (at == code_at - 1 || at == code_at + code_digits) return c == ' ';
    if (at == code_at) return c >= '1' && c <= '5';
    if (at < code_at + code_digits) return is_digit(c);
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f); // reason-phrase; obs-text is any byte from 0x80 on
}

} // namespace

StatusRead read_http_status(std::string_view received, HttpStatus& status) noexcept {
    const auto end = std::min(received.find('\n'), received.size());
    const bool whole = end < received.size();
    auto line = received.substr(0, std::min(end, longest_status_line));
    // Only the end of the line shows whether a CR belongs to it.
    if (line.ends_with('\r')) line.remove_suffix(1);
    for (std::size_t at = 0; at < line.size(); ++at)
        if (!fits(at, line[at])) return StatusRead::Malformed;
    if (end >= longest_status_line) return StatusRead::Malformed;
    if (!whole)
        return received.ends_with('\r') && line.size() < code_at + code_digits ? StatusRead::Malformed
                                                                               : StatusRead::NeedMore;
    if (line.size() < code_at + code_digits) return StatusRead::Malformed;
    status.code = 0;
    for (const char digit : line.substr(code_at, code_digits))
        status.code = 10 * status.code + (digit - '0');
    status.phrase = line.substr(std::min(line.size(), code_at + code_digits + 1));
    return StatusRead::Done;
}

} // namespace p2prc::process
