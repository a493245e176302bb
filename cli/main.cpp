// p2prc: the command line. Parses, calls p2prcd over D-Bus, prints.
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace p2prc::cli {
namespace {

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

int run(int argc, char** argv) {
    Context context;
    CLI::App app{"Run services on your own machines and publish them under your own domain.", "p2prc"};
    app.set_version_flag("--version", "p2prc " P2PRC_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    std::string format;
    bool user = false;
    app.add_option("-o,--output", format, "json: print JSON")->check(one_of({"json"}));
    bool json = false;
    app.add_flag("--json", json, "the same as -o json");
    app.add_flag("--user", user, "talk to the session's bus")->group(""); // not in this version

    Action action;
    for (const auto add : {add_process_verbs, add_log_verbs, add_domain_verbs, add_fleet_verbs, add_dns_verbs,
                           add_status_verbs, add_later_verbs, add_completion_verb})
        add(app, action);
    auto words = split_at_dashes(argc, argv, context);
    // Errors of parsing are printed as JSON too, whatever stands after the place where parsing stopped.
    context.json =
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
        return report_usage(app, error, words, context);
    }
    context.json = context.json || json || format == "json";
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
        return p2prc::cli::report({p2prc::ErrorCode::Failed, error.what(), ""}, false);
    }
}
