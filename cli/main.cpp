// p2prc: the command line. Parses, calls p2prcd over D-Bus, prints.
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <unistd.h>

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
    app.formatter(help_formatter());
    app.set_help_flag("-h,--help", "print this help");
    app.set_version_flag("--version", "p2prc " P2PRC_VERSION, "print the version");
    app.require_subcommand(1);
    app.fallthrough();
    std::string format;
    bool user = false; // not in this version
    app.add_option("-o,--output", format, "json: print JSON")->type_name("FORMAT")->check(one_of({"json"}));
    bool json = false;
    app.add_flag("--json", json, "the same as -o json");
    app.add_flag("--user", user, "talk to the session's bus")->group("");

    Action action;
    for (const auto add :
         {add_spin_verb, add_process_verbs, add_pause_verbs, add_revision_verbs, add_deploy_verb,
          add_owner_verbs, add_log_verbs, add_top_verbs, add_domain_verbs, add_fleet_verbs, add_dns_verbs,
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
    // A value of it, such as the name of a user, is no argument of the command either.
    user = std::ranges::any_of(
        words, [](const auto& word) { return word == "--user" || word.starts_with("--user="); });
    const Error not_built{ErrorCode::NotSupported, "--user is not in this version",
                          "leave it out; as whom a process runs, its file says: user = \"NAME\" below [run]"};
    turn_help_around(app, words);
    try {
        app.parse(std::vector<std::string>(words.rbegin(), words.rend())); // CLI11 takes them last first
    } catch (const CLI::ParseError& error) {
        if (user && error.get_exit_code() != 0) return report(not_built, context.json);
        return report_usage(app, error, words, context);
    }
    context.json = context.json || json || format == "json";
    if (user) return report(not_built, context.json);
    const auto status = action(context);
    return status ? *status : report(status.error(), context.json);
}

// What is opened next would take the number of a standard stream that is closed, and be written to.
void occupy_closed_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(stream, F_GETFD) < 0)
            (void)!open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int run_and_finish(int argc, char** argv) {
    int status = 1;
    try {
        status = run(argc, argv);
    } catch (const std::exception& error) {
        // Writing to a stream that fails throws, and is reported at the end.
        if (std::ferror(stdout) == 0) report({ErrorCode::Failed, error.what(), ""}, false);
    }
    return finish(status);
}

} // namespace
} // namespace p2prc::cli

int main(int argc, char** argv) {
    // A reader that goes away (`p2prc logs -f | head`) ends the program quietly, as it does cat(1).
    std::signal(SIGPIPE, SIG_DFL);
    p2prc::cli::occupy_closed_streams();
    return p2prc::cli::run_and_finish(argc, argv);
}
