#include "core/spec_values.h"

#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace p2prc {
namespace {

// MAX_ARG_STRLEN of Linux: execve() refuses one argument or variable that is longer (execve(2)).
constexpr std::size_t longest_argument = 128UL * 1024;
// Far above what a command line or a service needs.
constexpr std::size_t most_words = 4096;
constexpr std::size_t most_variables = 1024;
constexpr std::size_t most_credentials = 64;
constexpr std::size_t longest_http_path = 1024;
// PATH_MAX of Linux.
constexpr std::size_t longest_path = 4095;

bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string check_text(std::string_view value, std::string_view what) {
    if (value.find('\0') != std::string_view::npos) return fmt::format("{} contains a NUL byte", what);
    if (value.size() >= longest_argument) return fmt::format("{} is longer than 128 KiB", what);
    if (!text::fits_bus(value))
        return fmt::format("{} is not UTF-8, or has a character that stands for none (U+FFFF)", what);
    return {};
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return number;
}

constexpr std::array restart_names{std::pair{Restart::Always, std::string_view("always")},
                                   std::pair{Restart::OnFailure, std::string_view("on-failure")},
                                   std::pair{Restart::No, std::string_view("no")}};

} // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    unsigned shift = 0;
    if (!text.empty()) {
        const auto unit = std::string_view("KMGT").find(text.back());
        if (unit != std::string_view::npos) {
            shift = 10 * static_cast<unsigned>(unit + 1);
            text.remove_suffix(1);
        }
    }
    const auto number = parse_number(text);
    if (!number || *number == 0 || *number > (std::numeric_limits<std::uint64_t>::max() >> 1 >> shift))
        return std::nullopt;
    return *number << shift;
}

std::optional<std::uint32_t> parse_percent(std::string_view text) {
    if (!text.ends_with('%')) return std::nullopt;
    text.remove_suffix(1);
    const auto number = parse_number(text);
    if (!number || *number < 1 || *number > 100000) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

std::string set_limit(LimitsSpec& limits, std::string_view name, std::string_view value) {
    const bool none = value == "none";
    if (name == "memory") {
        limits.memory_bytes = none ? std::nullopt : parse_size(value);
        if (limits.memory_bytes && *limits.memory_bytes < least_memory_limit)
            return fmt::format("is too little for any process: the least is {}M", least_memory_limit >> 20U);
        return none || limits.memory_bytes ? "" : "is not a size such as 512M or 2G";
    }
    if (name == "cpu") {
        limits.cpu_percent = none ? std::nullopt : parse_percent(value);
        return none || limits.cpu_percent
                   ? ""
                   : "is not a percentage between 1% and 100000%, such as 150%: one and a half processors";
    }
    const auto tasks = parse_number(value);
    limits.tasks.reset();
    if (none) return {};
    if (!tasks || *tasks < 1 || *tasks > most_tasks_limit)
        return fmt::format("is not a number between 1 and {}", most_tasks_limit);
    limits.tasks = static_cast<std::uint32_t>(*tasks);
    return {};
}

std::optional<Restart> restart_from_name(std::string_view name) noexcept {
    for (const auto& [restart, text] : restart_names)
        if (text == name) return restart;
    return std::nullopt;
}

std::string_view restart_name(Restart restart) noexcept {
    for (const auto& [value, text] : restart_names)
        if (value == restart) return text;
    return "on-failure";
}

std::string check_command(const std::vector<std::string>& command, bool shell) {
    if (command.empty() || command.front().empty()) return "is empty";
    if (command.size() > most_words) return fmt::format("has more than {} words", most_words);
    for (const auto& word : command)
        if (auto why = check_text(word, "a word of it"); !why.empty()) return why;
    // systemd looks up a plain name in its own path and refuses every other relative path.
    const auto& program = command.front();
    if (!shell && program.front() != '/' && program.find('/') != std::string::npos)
        return fmt::format("'{}' is a relative path; write it from / on", text::excerpt(program));
    return {};
}

std::string check_user(std::string_view user) {
    if (user.empty()) return {};
    // The form that useradd(8) and systemd accept.
    const bool valid = user.size() <= 31 && is_alpha(user.front()) && std::ranges::all_of(user, [](char c) {
                           return is_alpha(c) || is_digit(c) || c == '-';
                       });
    return valid ? std::string{} : fmt::format("'{}' is not a user name", text::excerpt(user));
}

std::string check_root(std::string_view directory) {
    if (directory.empty()) return {};
    if (directory.front() != '/') return "must start with /";
    // systemd writes it into the unit's file, where `%` and a backslash mean something and blanks at the end
    // are lost.
    const auto strange = [](char c) {
        return c <= ' ' || c == 0x7f || std::string_view("%\\\"'").contains(c);
    };
    if (directory.size() > longest_path || !text::fits_bus(directory) ||
        std::ranges::any_of(directory,
                            [&](char c) { return static_cast<signed char>(c) >= 0 && strange(c); }))
        return "is too long, or has blanks, quotes, '%' or '\\'";
    for (std::size_t begin = 1; begin <= directory.size();) {
        const auto end = std::min(directory.find('/', begin), directory.size());
        if (directory.substr(begin, end - begin) == "..") return "has a part '..'";
        begin = end + 1;
    }
    if (directory.find_first_not_of("/.") == std::string_view::npos)
        return "is the machine's own root; leave it out";
    return {};
}

std::string check_deployer(std::string_view name) {
    constexpr std::size_t longest = 32;
    const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; };
    const bool valid = !name.empty() && name.size() <= longest && name.front() >= 'a' &&
                       name.front() <= 'z' && std::ranges::all_of(name, allowed);
    return valid ? std::string{} : fmt::format("'{}' is not a name of a deployer", text::excerpt(name));
}

std::string check_script(std::string_view script) {
    if (script.size() > DeploySpec::longest_script)
        return fmt::format("is longer than {} KiB", DeploySpec::longest_script >> 10U);
    return text::fits_bus(script) ? std::string{} : "is not plain text: it has a NUL byte or is not UTF-8";
}

bool changes_programs(std::string_view variable) noexcept {
    constexpr std::array prefixes{"LD_", "GLIBC_", "GCONV_", "OPENSSL_"};
    return std::ranges::any_of(prefixes,
                               [&](std::string_view prefix) { return variable.starts_with(prefix); });
}

std::string check_environment(const std::map<std::string, std::string>& environment) {
    if (environment.size() > most_variables) return fmt::format("has more than {} variables", most_variables);
    for (const auto& [name, value] : environment) {
        const bool valid = !name.empty() && name.size() <= 255 && is_alpha(name.front()) &&
                           std::ranges::all_of(name, [](char c) { return is_alpha(c) || is_digit(c); });
        if (!valid) return fmt::format("'{}' is not a name of a variable", text::excerpt(name));
        if (changes_programs(name))
            return fmt::format(
                "{0} would change p2prcd's own programs, too, which run in the same unit; set it "
                "in the command: [\"/usr/bin/env\", \"{0}=...\", ...]",
                text::excerpt(name));
        if (auto why = check_text(value, fmt::format("the value of {}", name)); !why.empty()) return why;
    }
    return {};
}

std::string check_credentials(const std::map<std::string, std::string>& credentials) {
    if (credentials.size() > most_credentials)
        return fmt::format("has more than {} credentials", most_credentials);
    for (const auto& [name, path] : credentials) {
        const bool valid = !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
                           std::ranges::all_of(name, [](char c) {
                               return is_alpha(c) || is_digit(c) || c == '.' || c == '-';
                           });
        if (!valid) return fmt::format("'{}' is not a name of a credential", text::excerpt(name));
        if (path.empty() || path.front() != '/') return fmt::format("the path of {} must start with /", name);
        // systemd writes it into the unit's file as it is: a newline would begin a line of its own there.
        if (path.size() > longest_path || !text::fits_bus(path) || text::has_controls(path))
            return fmt::format("the path of {} is too long or has control characters", name);
    }
    return {};
}

std::string check_http_path(std::string_view path) {
    if (!path.starts_with('/')) return "must begin with /";
    if (path.size() > longest_http_path)
        return fmt::format("is longer than {} characters", longest_http_path);
    // It becomes a part of a request line (RFC 9112 section 3).
    const bool plain = std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
    return plain ? "" : "has a space, a '#' or a character that is not ASCII; write it percent-encoded";
}

std::string command_text(const RunSpec& run) {
    if (run.shell) return run.command.empty() ? std::string{} : run.command.front();
    std::string text;
    for (const auto& word : run.command) {
        if (!text.empty()) text.push_back(' ');
        const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
            return is_alpha(c) || is_digit(c) ||
                   std::string_view("-./:=,@%+").find(c) != std::string_view::npos;
        });
        if (plain) {
            text += word;
            continue;
        }
        text.push_back('\'');
        for (const char c : word) {
            if (c == '\'')
                text += "'\\''";
            else
                text.push_back(c);
        }
        text.push_back('\'');
    }
    return text;
}

} // namespace p2prc
