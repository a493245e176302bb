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

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_word(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r";
    const std::size_t begin = text.find_first_not_of(blank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

// Takes what stands before the first `sign` off `rest`.
std::string_view next_part(std::string_view& rest, char sign) {
    const std::size_t end = std::min(rest.find(sign), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

// RFC 9110 section 12.4.2: a weight of 0, "0.000" at the longest, means "not acceptable".
bool is_refused(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::string_view parameter = trimmed(next_part(parameters, ';'));
        if (parameter.size() >= 3 && same_word(parameter.substr(0, 2), "q="))
            return parameter.find_first_not_of("0.", 2) == std::string_view::npos;
    }
    return false;
}

enum class Format { Text, Json, Html };

// RFC 9110 section 12.5.1. Whoever accepts HTML by name is a browser.
Format format_of(std::string_view accept, Format format) {
    while (!accept.empty()) {
        std::string_view range = next_part(accept, ',');
        const std::string_view type = trimmed(next_part(range, ';'));
        if (is_refused(range)) continue;
        if (same_word(type, "text/html") || same_word(type, "application/xhtml+xml"))
            format = Format::Html;
        else if (same_word(type, "application/json") && format == Format::Text)
            format = Format::Json;
    }
    return format;
}

// Of the lines after the request line.
Format format_asked_for(std::string_view head) {
    Format format = Format::Text;
    while (!head.empty()) {
        const std::string_view line = next_part(head, '\n');
        if (trimmed(line).empty()) break;
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos && same_word(line.substr(0, colon), "accept"))
            format = format_of(line.substr(colon + 1), format);
    }
    return format;
}

struct Words {
    int status;
    std::string_view phrase; // of the status
    std::string_view code;   // for programs
    std::string_view title;  // after the name of the service
    std::string_view more;
};

const Words& words_of(Trouble trouble) {
    static constexpr std::string_view unavailable = "Service Unavailable";
    static constexpr Words starting{503, unavailable, "starting", "is starting",
                                    "It will be here in a moment. Please try again."};
    static constexpr Words stopped{503, unavailable, "stopped", "is switched off",
                                   "Whoever runs it has stopped it. Please try again later."};
    static constexpr Words failed{503, unavailable, "failed", "is out of order",
                                  "The program behind it has failed. Please try again later."};
    static constexpr Words silent{502, "Bad Gateway", "no-answer", "does not answer",
                                  "The program behind it takes no connections at the moment. Please try "
                                  "again later."};
    switch (trouble) {
    case Trouble::Starting:
        return starting;
    case Trouble::Stopped:
        return stopped;
    case Trouble::Failed:
        return failed;
    case Trouble::NoAnswer:
        break;
    }
    return silent;
}

// A domain has nothing to escape; whatever else a mapping may contain does no harm in HTML or JSON then.
std::string name_of(const Page& page) {
    const bool plain = std::ranges::all_of(page.domain, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    });
    return plain && !page.domain.empty() ? page.domain : "This service";
}

std::string html(const Words& words, const std::string& name, bool reload) {
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0} {1}</title>"
        "<meta name=\"viewport\" content=\"width=device-width\">{3}</head>\n"
        "<body style=\"font-family:sans-serif;max-width:36em;margin:4em auto;padding:0 1em\">"
        "<h1>{0} {1}</h1><p>{2}</p></body></html>\n",
        name, words.title, words.more, reload ? "<meta http-equiv=\"refresh\" content=\"5\">" : "");
}

} // namespace

std::optional<std::string> error_page(std::string_view received, const Page& page) {
    const std::size_t line_end = received.find('\n');
    if (line_end == std::string_view::npos) return std::nullopt;
    std::string_view line = received.substr(0, line_end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!is_request_line(line)) return std::string();
    // RFC 9112 section 2.2: a line may end with LF alone.
    const std::size_t head_end = std::min(received.find("\r\n\r\n"), received.find("\n\n"));
    if (head_end == std::string_view::npos) return std::nullopt;
    const Words& words = words_of(page.trouble);
    const std::string name = name_of(page);
    const bool starting = page.trouble == Trouble::Starting;
    const bool head_only = line.starts_with("HEAD ");
    std::string type, body;
    switch (format_asked_for(received.substr(line_end + 1))) {
    case Format::Html:
        type = "text/html";
        // What was posted is not posted again by a reload of this kind: it asks with GET.
        body = html(words, name, starting && line.starts_with("GET "));
        break;
    case Format::Json:
        type = "application/json";
        body = fmt::format("{{\"error\":\"{}\",\"message\":\"{} {}. {}\"}}\n", words.code, name, words.title,
                           words.more);
        break;
    case Format::Text:
        type = "text/plain";
        body = fmt::format("{} {}. {}\n", name, words.title, words.more);
    }
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\n"
                       "Cache-Control: no-store\r\n{}Connection: close\r\n\r\n{}",
                       words.status, words.phrase, type, body.size(), starting ? "Retry-After: 5\r\n" : "",
                       head_only ? "" : body);
}

} // namespace p2prc::connector
