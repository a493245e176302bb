// p2prc: the command line. Parses, calls p2prcd over D-Bus, prints.
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/names.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::cli {
namespace {

constexpr int usage_status = 2;

// CLI11 knows `--` only as "positionals follow"; what stands behind it is somebody else's command line here,
// so it is taken away before parsing.
std::vector<std::string> split_at_dashes(int argc, char** argv, Context& context) {
    std::vector<std::string> words(argv + 1, argv + argc);
    const auto dashes = std::ranges::find(words, "--");
    context.has_command = dashes != words.end();
    if (context.has_command) {
        context.command.assign(dashes + 1, words.end());
        words.erase(dashes, words.end());
    }
    return words;
}

std::vector<std::string> command_names(const CLI::App& app, bool later = true) {
    std::vector<std::string> names;
    for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!verb->get_group().empty() && (later || verb->get_group() != later_group))
            names.push_back(verb->get_name());
    return names;
}

// How far the words lead into the commands, and the first that is none. CLI11 would only say that one is
// missing.
struct Place {
    std::string command = "p2prc";
    std::vector<std::string> below;   // what may follow
    std::vector<std::string> offered; // of that, what is in this version
    std::optional<std::string> unknown;
};

Place place_of(const CLI::App& app, const std::vector<std::string>& words) {
    Place place;
    const auto* at = &app;
    place.below = command_names(app);
    for (std::size_t i = 0; i < words.size() && !place.below.empty() && !place.unknown; ++i) {
        const bool value = i > 0 && (words[i - 1] == "-o" || words[i - 1] == "--output");
        if (words[i].starts_with('-') || value) continue;
        if (std::ranges::find(place.below, words[i]) == place.below.end()) {
            place.unknown = words[i];
        } else {
            at = at->get_subcommand(words[i]);
            place.command += " " + words[i];
            place.below = command_names(*at);
            place.offered = command_names(*at, false);
        }
    }
    return place;
}

int report_usage(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words,
                 bool json) {
    if (error.get_exit_code() == 0) return app.exit(error); // --help and --version
    const auto place = place_of(app, words);
    std::string message = error.what(), hint = fmt::format("see {} --help", place.command);
    if (place.unknown) {
        message = fmt::format("there is no command '{} {}'", place.command, *place.unknown);
        const std::vector<std::string_view> views(place.below.begin(), place.below.end());
        if (const auto near = nearest(*place.unknown, views); !near.empty())
            hint = fmt::format("did you mean '{}'?", near);
    } else if (!place.below.empty() && place.command != "p2prc") {
        message = fmt::format("{} needs a command behind it", place.command);
        hint = fmt::format("one of: {}", fmt::join(place.offered, ", "));
    } else if (!place.below.empty() && words.empty()) {
        message = "which command?";
    }
    if (json) {
        print(nlohmann::json{{"error", {{"code", "Usage"}, {"message", message}, {"hint", hint}}}});
    } else {
        note("p2prc: " + message);
        note("  " + hint);
    }
    return usage_status;
}

// `p2prc help nodes rm` is `p2prc nodes rm --help`.
void turn_help_around(const CLI::App& app, std::vector<std::string>& words) {
    if (words.empty() || words.front() != "help") return;
    words.erase(words.begin());
    if (!place_of(app, words).unknown) words.emplace_back("--help");
}

int run(int argc, char** argv) {
    Context context;
    CLI::App app{"One place to run things, made of the machines a household owns.", "p2prc"};
    app.set_version_flag("--version", "p2prc " P2PRC_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    std::string format;
    bool user = false;
    app.add_option("-o,--output", format, "json: print JSON")->check(CLI::IsMember({"json"}));
    app.add_flag("--json", context.json, "the same as -o json");
    app.add_flag("--user", user, "talk to the session's bus (not in this version)");

    Action action;
    for (const auto add : {add_process_verbs, add_log_verbs, add_domain_verbs, add_fleet_verbs, add_dns_verbs,
                           add_status_verbs, add_later_verbs, add_completion_verb})
        add(app, action);
    auto words = split_at_dashes(argc, argv, context);
    // Errors of parsing are printed as JSON too, whatever stands after the place where parsing stopped.
    const bool wants_json =
        std::ranges::any_of(words,
                            [](const auto& word) {
                                return word == "--json" || word == "-ojson" || word == "--output=json";
                            }) ||
        std::ranges::adjacent_find(words, [](const auto& a, const auto& b) {
            return (a == "-o" || a == "--output") && b == "json";
        }) != words.end();
    turn_help_around(app, words);
    try {
        app.parse(std::vector<std::string>(words.rbegin(), words.rend())); // CLI11 takes them last first
    } catch (const CLI::ParseError& error) {
        return report_usage(app, error, words, wants_json);
    }
    context.json = context.json || format == "json" || wants_json;
    if (user)
        return report({ErrorCode::NotSupported, "--user is not in this version", "leave it out"},
                      context.json);
    const auto status = action(context);
    return status ? *status : report(status.error(), context.json);
}

} // namespace
} // namespace p2prc::cli

int main(int argc, char** argv) {
    // A reader that goes away (`p2prc logs -f | head`) ends the program quietly, as it does cat(1).
    std::signal(SIGPIPE, SIG_DFL);
    try {
        return p2prc::cli::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "p2prc: %s\n", error.what());
        return 1;
    }
}
