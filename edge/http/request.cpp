#include "edge/http/request.h"

#include "edge/sni/server_name.h"

#include <algorithm>
#include <charconv>

namespace p2prc::edge {
namespace {

constexpr std::size_t max_method = 20;
constexpr std::size_t max_target = 8 * 1024;

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(left, right, {}, lower, lower);
}

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// "name" or "name:port"; the name as a server name.
bool read_authority(std::string_view authority, HttpRequest& request) {
    const auto colon = authority.find(':');
    const auto name = normalize_server_name(authority.substr(0, colon));
    if (!name) return false;
    request.host = *name;
    request.port.clear();
    if (colon == std::string_view::npos) return true;
    const auto port = authority.substr(colon + 1);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (port.empty()) return true; // RFC 3986 section 3.2.3 allows "name:"
    if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535)
        return false;
    request.port = port;
    return true;
}

} // namespace

bool looks_like_http(std::string_view received) noexcept {
    received = received.substr(0, max_method + 1);
    const auto space = received.find(' ');
    const auto method = received.substr(0, space);
    return method.size() <= max_method && (space != 0) &&
           std::ranges::all_of(method, [](char c) { return c >= 'A' && c <= 'Z'; });
}

int parse_http_head(std::string_view head, HttpRequest& request) {
    const auto next_line = [&head] {
        const auto end = head.find("\r\n");
        const auto line = head.substr(0, end);
        head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
        return line;
    };

    // RFC 9112 section 3: method SP request-target SP HTTP-version.
    const auto line = next_line();
    const auto first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return 400;
    const auto method = line.substr(0, first), version = line.substr(last + 1);
    auto target = line.substr(first + 1, last - first - 1);
    if (!is_token(method) || method.size() > max_method) return 400;
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return version.starts_with("HTTP/") ? 505 : 400;
    if (target.size() > max_target) return 414;
    if (target.empty() || !std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f; }))
        return 400;
    request.method = method;

    // Section 3.2.2: in absolute form the target names the host, whatever the Host field says.
    bool absolute = false;
    constexpr std::string_view scheme = "http://";
    if (target.size() > scheme.size() && equals_ignoring_case(target.substr(0, scheme.size()), scheme)) {
        target.remove_prefix(scheme.size());
        const auto end = target.find_first_of("/?#");
        if (!read_authority(target.substr(0, end), request)) return 400;
        absolute = true;
        request.path = end == std::string_view::npos ? "" : target.substr(end);
        if (!request.path.starts_with('/')) request.path.insert(0, "/");
    } else if (target.front() == '/') {
        request.path = target;
    } else {
        return 400;
    }

    bool have_host = false;
    for (auto field = next_line(); !field.empty(); field = next_line()) {
        const auto colon = field.find(':');
        // Section 5.1 and 5.2: no space before the colon, no folded lines.
        if (colon == std::string_view::npos || !is_token(field.substr(0, colon))) return 400;
        const auto value = trim(field.substr(colon + 1));
        if (std::ranges::any_of(value, [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; }))
            return 400;
        if (!equals_ignoring_case(field.substr(0, colon), "host")) continue;
        // Section 3.2: a second Host field, or one that is no host, is refused.
        if (have_host) return 400;
        have_host = true;
        if (!absolute && !read_authority(value, request)) return 400;
    }
    return have_host || absolute ? 0 : 400;
}

HttpHeadReader::Status HttpHeadReader::refuse(int status) noexcept {
    refusal_ = status;
    return Status::Refused;
}

HttpHeadReader::Status HttpHeadReader::read(std::string_view received) {
    if (!looks_like_http(received)) return refuse(400);
    constexpr std::string_view end = "\r\n\r\n";
    const auto found = received.find(end, scanned_);
    if (found == std::string_view::npos) {
        if (received.size() >= max_bytes) return refuse(431);
        scanned_ = received.size() < end.size() ? 0 : received.size() - end.size() + 1;
        return Status::NeedMore;
    }
    if (found + end.size() > max_bytes) return refuse(431);
    if (const int status = parse_http_head(received.substr(0, found + end.size()), request_); status != 0)
        return refuse(status);
    return Status::Ready;
}

} // namespace p2prc::edge
