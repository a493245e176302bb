#include "edge/http/response.h"

#include <fmt/format.h>

namespace p2prc::edge {
namespace {

std::string_view reason(int status) noexcept {
    switch (status) {
    case 404:
        return "Not Found";
    case 414:
        return "URI Too Long";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

} // namespace

std::string https_redirect(const HttpRequest& request, std::string_view port) {
    const bool default_port = port.empty() || port == "443";
    return fmt::format(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://{}{}{}{}\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n",
        request.host, default_port ? "" : ":", default_port ? "" : port, request.path);
}

std::string plain_response(int status, std::string_view text, bool head) {
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
                       "Connection: close\r\n\r\n{}",
                       status, reason(status), text.size(), head ? "" : text);
}

std::string plain_response(int status) {
    return plain_response(status, fmt::format("{}\n", reason(status)));
}

bool is_acme_challenge(std::string_view path) noexcept {
    return path.starts_with("/.well-known/acme-challenge/");
}

} // namespace p2prc::edge
