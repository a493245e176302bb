#include "cli/log_line.h"

#include <algorithm>

namespace p2prc::cli {
namespace {

// strftime()'s %z is "+0200"; RFC 3339 has a colon in it.
std::string rfc3339(std::string_view time) {
    std::string text(time);
    if (text.size() == 24 && (text[19] == '+' || text[19] == '-')) text.insert(22, ":");
    return text;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

} // namespace

std::optional<Error> end_of_log(std::string_view line) {
    constexpr std::string_view begin = "p2prc: the log ends here (", middle = "): ";
    if (!line.starts_with(begin)) return std::nullopt;
    line.remove_prefix(begin.size());
    const auto at = line.find(middle);
    if (at == std::string_view::npos) return std::nullopt;
    return Error{error_code_from_name(line.substr(0, at)),
                 "the log ends here: " + std::string(line.substr(at + middle.size())),
                 "'p2prc nodes' shows which nodes are up"};
}

LogLine LogLines::parse(std::string_view line) {
    if (line.starts_with(' ')) {
        const auto first = std::min(line.find_first_not_of(' '), line.size());
        return {time_, std::string(line.substr(std::min(first, indentation_)))};
    }
    const auto host = line.find(' ');
    const auto program = host == std::string_view::npos ? host : line.find(' ', host + 1);
    const auto end = program == std::string_view::npos ? program : line.find(": ", program);
    if (end == std::string_view::npos) return {time_, std::string(line)};
    time_ = rfc3339(line.substr(0, host));
    indentation_ = characters(line.substr(0, end + 2));
    return {time_, std::string(line.substr(end + 2))};
}

} // namespace p2prc::cli
