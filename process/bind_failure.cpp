#include "process/bind_failure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

namespace p2prc::process {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return result;
}

// The kernel gives EPERM for what the program of a rule refuses. Languages write it as "Operation not
// permitted" or by its name, and say somewhere that it came of a bind or a listen.
bool tells_of_a_bind(std::span<const std::string> log) {
    bool refused = false, bind = false;
    for (const auto& line : log) {
        const auto text = lower(line);
        const auto has = [&text](std::string_view part) { return text.find(part) != std::string::npos; };
        refused = refused || has("operation not permitted") || has("eperm");
        bind = bind || has("bind") || has("listen") || has("socket") || has("address");
    }
    return refused && bind;
}

bool allows(const BindRule& rule, std::uint16_t port) {
    return std::ranges::count(rule.ports, port) > 0 || (rule.free_ports && port >= first_free_port);
}

// The one number in the command line that may be the port that was refused: "8222", "0.0.0.0:8222",
// "--port=8222".
std::optional<std::uint16_t> port_in(std::string_view command, const BindRule& rule) {
    std::set<std::uint16_t> found;
    constexpr std::string_view ends = " \t\n'\"";
    for (std::size_t at = 0; (at = command.find_first_not_of(ends, at)) != std::string_view::npos;) {
        const auto end = std::min(command.find_first_of(ends, at), command.size());
        auto word = command.substr(at, end - at);
        at = end;
        word.remove_prefix(word.find_last_of(":=") + 1);
        std::uint16_t port = 0;
        const auto read = std::from_chars(word.data(), word.data() + word.size(), port);
        if (read.ec == std::errc{} && read.ptr == word.data() + word.size() && port != 0 &&
            !allows(rule, port))
            found.insert(port);
    }
    if (found.size() != 1) return std::nullopt;
    return *found.begin();
}

} // namespace

std::string bind_failure(const ProcessSpec& spec, const BindRule& rule, std::span<const std::string> log) {
    if (!tells_of_a_bind(log)) return {};
    const auto wanted = port_in(command_text(spec.run), rule);
    const auto named = wanted ? std::to_string(*wanted) : "PORT";
    if (rule.free_ports)
        return fmt::format("it may not bind a port below {} but {}", first_free_port,
                           fmt::join(rule.ports, ", "));
    if (rule.ports.empty())
        return fmt::format("it may bind no port, as it has none: spin it with --port {}", named);
    return fmt::format("it may bind only its own {} {} ($PORT): let it bind that, spin it with --port {}, or "
                       "add {} to `ports` in its file",
                       rule.ports.size() == 1 ? "port" : "ports", fmt::join(rule.ports, ", "), named, named);
}

} // namespace p2prc::process
