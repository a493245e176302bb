#include "cli/status_lines.h"

#include "cli/output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

std::string line(std::string_view label, std::string_view text) {
    return fmt::format("{:<12} {}", label, text);
}

// {"running": 2, "failed": 1} -> "3: 1 failed, 2 running"
std::string counts(std::string_view what, const Json& by_state) {
    std::uint64_t all = 0;
    std::vector<std::string> parts;
    for (const auto& [state, number] : by_state.items()) {
        all += number.get<std::uint64_t>();
        parts.push_back(fmt::format("{} {}", number.get<std::uint64_t>(),
                                    what == "certificates" ? certificate_state_words(state) : state));
    }
    return all == 0 ? "none" : fmt::format("{}: {}", all, fmt::join(parts, ", "));
}

void add_problem(const Json& problem, std::vector<std::string>& lines) {
    const bool down = is_down(problem);
    lines.push_back(line(down ? "problem" : "note", cell(problem, "cause")));
    const auto affects = problem.value("affects", std::vector<std::string>{});
    if (!affects.empty())
        lines.push_back(
            line("", fmt::format("  {}: {}", down ? "down with it" : "waits for it", by_kind(affects))));
    if (cell(problem, "hint") != "-") lines.push_back(line("", "  " + cell(problem, "hint")));
}

} // namespace

bool is_down(const Json& problem) {
    return problem.value("severity", "down") == "down";
}

std::string by_kind(const std::vector<std::string>& subjects) {
    std::string text, last;
    for (const auto& subject : subjects) {
        const auto kind = subject.substr(0, subject.find(' '));
        const auto name = subject.substr(std::min(subject.size(), kind.size() + 1));
        text += text.empty() ? subject : kind == last ? ", " + name : "; " + subject;
        last = kind;
    }
    return text;
}

std::vector<std::string> status_lines(const Json& status) {
    const auto fleet = status.value("fleet", Json::object());
    const bool root = status.value("root", false);
    const bool in_fleet = cell(fleet, "zone") != "-";
    const auto role = !in_fleet ? "standalone" : root ? "root" : status.value("role", std::string("member"));
    std::vector<std::string> lines{line("node", fmt::format("{} ({})", cell(status, "node"), role))};
    lines.push_back(line("fleet", in_fleet
                                      ? cell(fleet, "zone")
                                      : "none; create one with p2prc init, or join one with p2prc join"));
    if (in_fleet && !root)
        lines.push_back(
            line("root", cell(fleet, "root") +
                             (status.value("reachable", false)
                                  ? ", reachable"
                                  : ", not reachable; what is shown of other nodes may be out of date")));
    if (cell(status, "edge") != "-") lines.push_back(line("edge", cell(status, "edge")));
    for (const std::string_view what : {"nodes", "tunnels", "processes", "domains", "certificates"})
        if (const auto by_state = status.value(std::string(what), Json::object());
            !by_state.empty() || what == "processes")
            lines.push_back(line(what, counts(what, by_state)));
    for (const auto& problem : status.value("problems", Json::array()))
        add_problem(problem, lines);
    return lines;
}

} // namespace p2prc::cli
