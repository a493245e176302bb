#include "cli/usage.h"

#include "cli/output.h"
#include "core/duration.h"
#include "core/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

namespace p2prc::cli {
namespace {

constexpr int usage_status = 2;

class HelpFormatter : public CLI::Formatter {
  public:
    HelpFormatter() { label("SUBCOMMAND", "COMMAND"); }

    std::string make_option_opts(const CLI::Option* option) const override {
        if (option->get_positional() || option->get_type_size() == 0) return "";
        return " " + option->get_type_name() + (option->get_expected_max() > 1 ? " ..." : "");
    }
};

std::vector<std::string> command_names(const CLI::App& app, bool later = true) {
    std::vector<std::string> names;
    for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!verb->get_group().empty() && (later || verb->get_group() != later_group))
            names.push_back(verb->get_name());
    return names;
}

// Whether the value of an option is the next word.
bool takes_next(const CLI::Option& option, std::string_view word) {
    if (option.get_items_expected_min() == 0) return false;
    return word.starts_with("--") ? word.find('=') == std::string_view::npos : word.size() == 2;
}

bool is_option(std::string_view word) {
    return word.size() > 1 && word[0] == '-';
}

// "--port" of "--port=80", "-n" of "-n5".
std::string option_name(const std::string& word) {
    return word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
}

// Where the command stands: behind the options that every command takes. An option that is none of those
// ends them.
std::size_t command_at(const CLI::App& app, const std::vector<std::string>& words) {
    std::size_t at = 0;
    while (at < words.size() && is_option(words[at])) {
        const auto* option = app.get_option_no_throw(option_name(words[at]));
        if (!option) break;
        at += takes_next(*option, words[at]) ? 2 : 1;
    }
    return std::min(at, words.size());
}

// How far the words lead into the commands, and the first that is none. CLI11 would only say that one is
// missing.
struct Place {
    std::vector<const CLI::App*> path; // the program itself first
    std::string command = "p2prc";
    std::vector<std::string> below;   // what may follow
    std::vector<std::string> offered; // of that, what is in this version
    std::optional<std::string> unknown;
};

Place place_of(const CLI::App& app, const std::vector<std::string>& words) {
    Place place;
    place.path = {&app};
    place.below = command_names(app);
    place.offered = command_names(app, false);
    for (std::size_t i = 0; i < words.size() && !place.below.empty() && !place.unknown; ++i) {
        const bool value = i > 0 && (words[i - 1] == "-o" || words[i - 1] == "--output");
        if (words[i].starts_with('-') || value) continue;
        if (std::ranges::find(place.below, words[i]) == place.below.end()) {
            place.unknown = words[i];
        } else {
            place.path.push_back(place.path.back()->get_subcommand(words[i]));
            place.command += " " + words[i];
            place.below = command_names(*place.path.back());
            place.offered = command_names(*place.path.back(), false);
        }
    }
    return place;
}

const CLI::Option* find_option(const Place& place, const std::string& name) {
    for (const auto* app : place.path)
        if (const auto* option = app->get_option_no_throw(name)) return option;
    return nullptr;
}

// The first word that has the form of an option and is none there.
std::optional<std::string> unknown_option(const Place& place, const std::vector<std::string>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (!is_option(words[i])) continue;
        auto name = option_name(words[i]);
        const auto* option = find_option(place, name);
        if (!option) return name;
        if (takes_next(*option, words[i])) ++i;
    }
    return std::nullopt;
}

// Of the options that --help shows, the one that is most like it.
std::string nearest_option(const Place& place, std::string_view unknown) {
    std::vector<std::string> names;
    for (const auto* app : place.path)
        for (const auto* option : app->get_options())
            if (!option->get_group().empty())
                for (const auto& name : option->get_lnames())
                    names.push_back(name);
    const std::vector<std::string_view> views(names.begin(), names.end());
    unknown.remove_prefix(std::min(unknown.size(), unknown.find_first_not_of('-')));
    return std::string(nearest(unknown, views));
}

// Of the `offered` commands, the one that does what a word of other programs asks for.
std::string_view same_elsewhere(std::string_view word, std::span<const std::string_view> offered) {
    struct Sense {
        std::string_view word;
        std::array<std::string_view, 2> commands;
    };
    static constexpr std::array senses{
        Sense{"remove", {"kill", "rm"}},  Sense{"rm", {"kill", ""}},          Sense{"delete", {"kill", "rm"}},
        Sense{"destroy", {"kill", "rm"}}, Sense{"list", {"ps", ""}},          Sense{"ls", {"ps", ""}},
        Sense{"show", {"info", ""}},      Sense{"inspect", {"info", "show"}}, Sense{"run", {"spin", ""}},
        Sense{"create", {"spin", ""}},
    };
    for (const auto& sense : senses)
        for (const auto command : sense.commands)
            if (sense.word == word && std::ranges::find(offered, command) != offered.end()) return command;
    return {};
}

// Where to run it, in the words of other commands.
bool means_a_node(std::string_view command, std::string_view option) {
    static constexpr std::array<std::string_view, 4> words{"--to", "--via", "--on", "--host"};
    return command == "p2prc spin" && std::ranges::find(words, option) != words.end();
}

struct Usage {
    std::string message, hint;
};

// An option in front of the command that is not one of all commands: where it goes.
std::optional<Usage> option_before_command(const CLI::App& app, const std::vector<std::string>& words) {
    const auto at = command_at(app, words);
    if (at == words.size() || !is_option(words[at])) return std::nullopt;
    const auto name = option_name(words[at]);
    const auto commands = command_names(app);
    // The next word may be the option's value.
    for (auto next = at + 1; next < words.size(); ++next) {
        if (std::ranges::find(commands, words[next]) == commands.end()) continue;
        const auto* option = app.get_subcommand(words[next])->get_option_no_throw(name);
        if (!option || option->get_group().empty()) continue;
        const bool has_value = takes_next(*option, words[at]) && next > at + 1;
        return Usage{
            fmt::format("'{}' is an option of p2prc {}, and goes behind it", name, words[next]),
            fmt::format("p2prc {} {}{} ...", words[next], words[at], has_value ? " " + words[at + 1] : "")};
    }
    const auto near = nearest_option(place_of(app, {}), name);
    return Usage{fmt::format("p2prc has no option '{}'", name),
                 near.empty() ? "see p2prc --help" : fmt::format("did you mean '--{}'?", near)};
}

// Whether a word can be what `info` and `nodes show` take.
bool is_name(std::string_view word) {
    const bool is_id = std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
    return !word.empty() && (is_id || check_node_name(word) || normalize_domain(word));
}

// What does to one of a list, or to all, what `word` behind the list asks for; a name asks to see it. Empty:
// nothing does.
std::string instead_of(std::string_view list, std::string_view word) {
    struct Row {
        std::string_view list, show, all, add, remove;
    };
    static constexpr std::array rows{
        Row{"p2prc nodes", "p2prc nodes show", "p2prc nodes", "p2prc invite", "p2prc nodes rm"},
        Row{"p2prc fleet", "p2prc nodes show", "p2prc nodes", "p2prc invite", "p2prc nodes rm"},
        Row{"p2prc domains", "p2prc info", "p2prc domains", "p2prc map-domain", "p2prc unmap-domain"},
        Row{"p2prc ps", "p2prc info", "p2prc ps", "p2prc spin", "p2prc kill"},
        Row{"p2prc status", "p2prc info", "p2prc status", "", ""},
        Row{"p2prc dns", "p2prc dns records", "p2prc dns zones", "", ""},
        Row{"p2prc dns zones", "p2prc dns records", "p2prc dns zones", "", ""},
    };
    const auto* const row = std::ranges::find(rows, list, &Row::list);
    if (row == rows.end()) return {};
    const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
        return std::ranges::find(words, word) != words.end();
    };
    if (is_one_of({"ls", "list", "all"})) return std::string(row->all);
    if (is_one_of({"show", "info", "inspect", "get"})) return std::string(row->show);
    if (is_one_of({"add", "map", "create", "new"})) return std::string(row->add);
    if (is_one_of({"rm", "remove", "delete", "del", "unmap"})) return std::string(row->remove);
    return is_name(word) ? fmt::format("{} {}", row->show, word) : std::string();
}

std::optional<Usage> wrong_command(const Place& place, const std::vector<std::string>& words) {
    const auto see = fmt::format("see {} --help", place.command);
    if (place.unknown) {
        const std::vector<std::string_view> views(place.offered.begin(), place.offered.end());
        auto near = same_elsewhere(*place.unknown, views);
        if (near.empty()) near = nearest(*place.unknown, views);
        const auto instead = instead_of(place.command, *place.unknown);
        return Usage{fmt::format("there is no command '{} {}'", place.command, *place.unknown),
                     !near.empty()      ? fmt::format("did you mean '{}'?", near)
                     : !instead.empty() ? fmt::format("did you mean '{}'?", instead)
                                        : see};
    }
    if (place.below.empty()) return std::nullopt;
    if (place.path.size() > 1)
        return Usage{fmt::format("'{}' needs a subcommand", place.command),
                     fmt::format("one of: {}", fmt::join(place.offered, ", "))};
    if (words.empty()) return Usage{"no command given", see};
    return std::nullopt;
}

// The words that no option and no argument takes, in the order in which they were typed.
std::optional<std::string> first_extra(const CLI::App& app, const std::vector<std::string>& words) {
    const auto extras = app.remaining(true);
    const auto first = std::ranges::find_if(
        words, [&](const auto& word) { return std::ranges::find(extras, word) != extras.end(); });
    return first == words.end() ? std::nullopt : std::optional(*first);
}

Usage usage_of(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words,
               const Context& context) {
    if (auto misplaced = option_before_command(app, words)) return *misplaced;
    const auto place = place_of(app, words);
    const auto unknown = unknown_option(place, words);
    auto see = fmt::format("see {} --help", place.command);
    if (auto wrong = wrong_command(place, words); wrong && (place.unknown || !unknown)) return *wrong;
    // Whoever types a command to run without `--` is told so at its first word, or at its first option.
    const bool command_without_dashes = place.command == "p2prc spin" && !context.has_command;
    const auto behind_dashes = "the command to run goes after --: p2prc spin NAME [--port P] -- COMMAND...";
    if (unknown) {
        const auto near =
            means_a_node(place.command, *unknown) ? std::string("node") : nearest_option(place, *unknown);
        return {fmt::format("{} has no option '{}'", place.command, *unknown),
                !near.empty()            ? fmt::format("did you mean '--{}'?", near)
                : command_without_dashes ? behind_dashes
                                         : std::move(see)};
    }
    // Its name is that of the command.
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError))
        if (const auto extra = first_extra(app, words)) {
            const auto instead = instead_of(place.command, *extra);
            return {fmt::format("{} takes no further argument: '{}'", place.command, *extra),
                    command_without_dashes ? behind_dashes
                    : !instead.empty()     ? fmt::format("did you mean '{}'?", instead)
                                           : std::move(see)};
        }
    const std::string message = error.what();
    if (error.get_name() == "ArgumentMismatch")
        return {fmt::format("{} needs a value", message.substr(0, message.find(':'))), std::move(see)};
    return {message, std::move(see)};
}

} // namespace

int report_usage(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words,
                 const Context& context) {
    if (error.get_exit_code() == 0) return app.exit(error); // --help and --version
    const auto usage = usage_of(app, error, words, context);
    return report_usage(usage.message, usage.hint, context);
}

int report_usage(const std::string& message, const std::string& hint, const Context& context) {
    if (context.json) {
        print(nlohmann::json{{"error", {{"code", "Usage"}, {"message", message}, {"hint", hint}}}});
    } else {
        note("p2prc: " + message);
        note("  " + hint);
    }
    return usage_status;
}

void turn_help_around(const CLI::App& app, std::vector<std::string>& words) {
    const auto at = command_at(app, words);
    if (at == words.size() || words[at] != "help") return;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
    if (!place_of(app, words).unknown) words.emplace_back("--help");
}

std::shared_ptr<CLI::FormatterBase> help_formatter() {
    return std::make_shared<HelpFormatter>();
}

CLI::Validator number_between(long long least, long long most) {
    const auto check = [least, most](std::string& text) -> std::string {
        long long number = 0;
        const auto* end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, number);
        if (read.ec == std::errc::invalid_argument || read.ptr != end)
            return fmt::format("'{}' is not a number", text);
        if (read.ec != std::errc{} || number < least || number > most)
            return fmt::format("{} is not between {} and {}", text, least, most);
        // CLI11 would read it as octal.
        if (text.size() > 1 && text.starts_with('0'))
            return fmt::format("'{}' begins with 0; write {}", text, number);
        return {};
    };
    return {check, fmt::format("{}-{}", least, most)};
}

CLI::Validator time_up_to(std::uint64_t most) {
    const auto check = [most](std::string& text) -> std::string {
        const auto seconds = parse_duration(text);
        const auto longest = duration_text(most);
        if (!seconds)
            return fmt::format("'{}' is not a time such as 90s, 30m or 2h, from 1s to {}", text, longest);
        return *seconds <= most ? "" : fmt::format("{} is too long: at most {}", text, longest);
    };
    return {check, ""};
}

CLI::Validator url_as_domain() {
    const auto change = [](std::string& text) -> std::string {
        for (const std::string_view scheme : {"https://", "http://"})
            if (text.starts_with(scheme)) {
                text.erase(0, scheme.size());
                text.erase(std::min(text.find_first_of(":/?#"), text.size()));
                break;
            }
        return {};
    };
    return {change, ""};
}

CLI::Validator one_of(std::vector<std::string> values, std::vector<std::string> later) {
    auto shown = fmt::format("{{{}}}", fmt::join(values, ","));
    const auto check = [values, later = std::move(later)](std::string& text) -> std::string {
        for (const auto* list : {&values, &later})
            if (std::ranges::find(*list, text) != list->end()) return {};
        return fmt::format("'{}' is not one of: {}", text, fmt::join(values, ", "));
    };
    return {check, std::move(shown)};
}

} // namespace p2prc::cli
