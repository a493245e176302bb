#include "connector/http_page.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::connector {
namespace {

// RFC 9112 section 3: method SP request-target SP HTTP-version.
bool is_request_line(std::string_view line) {
    const std::size_t method_end = line.find(' ');
    const std::size_t version = line.rfind(" HTTP/1.");
    if (method_end == std::string_view::npos || method_end == 0 || version == std::string_view::npos ||
        version <= method_end || line.size() != version + 9)
        return false;
    // RFC 9110 section 5.6.2: a token; methods are made of letters and a few signs.
    return std::ranges::all_of(line.substr(0, method_end), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
    });
}

std::string body_of(int status) {
    const std::string_view title =
        status == 503 ? "This service is not available" : "This service does not answer";
    const std::string_view words =
        status == 503 ? "The name is right and the way to it works, but the program behind it is not running "
                        "or not ready."
                      : "The name is right and the way to it works, but the program behind it does not take "
                        "connections at the moment.";
    return fmt::format("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>"
                       "<meta name=\"viewport\" content=\"width=device-width\"></head>\n"
                       "<body style=\"font-family:sans-serif;max-width:36em;margin:4em auto;padding:0 1em\">"
                       "<h1>{0}</h1><p>{1} Please try again later.</p></body></html>\n",
                       title, words);
}

} // namespace

std::optional<std::string> error_page(std::string_view received, int status) {
    const std::size_t line_end = received.find('\n');
    if (line_end == std::string_view::npos) return std::nullopt;
    std::string_view line = received.substr(0, line_end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!is_request_line(line)) return std::string();
    // RFC 9112 section 2.2: a line may end with LF alone.
    if (received.find("\r\n\r\n") == std::string_view::npos &&
        received.find("\n\n") == std::string_view::npos)
        return std::nullopt;
    const std::string body = body_of(status);
    const bool head_only = line.starts_with("HEAD ");
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n"
                       "Cache-Control: no-store\r\nRetry-After: 10\r\nConnection: close\r\n\r\n{}",
                       status, status == 503 ? "Service Unavailable" : "Bad Gateway", body.size(),
                       head_only ? "" : body);
}

} // namespace p2prc::connector
