// history, rollback.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "cli/show_process.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/wait_options.h"
#include "core/fields.h"
#include "core/revision.h"
#include "core/stop_reason.h"
#include "core/text.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <utility>

namespace p2prc::cli {
namespace {

struct RollbackOptions {
    std::string subject;
    std::uint32_t revision = 0; // the last good one
    bool yes = false;
    WaitOptions wait;
};

// A copy of data that nobody has asked for again is worth a question; a script is told what it has done.
bool may_replace_copy(Daemon& daemon, const RollbackOptions& options, const Context& context) {
    if (options.yes || context.json) return true;
    const auto info = daemon.call(&dbus::Client::information, options.subject);
    const auto rows = daemon.call(&dbus::Client::history, options.subject);
    if (!info || !rows) return true; // the call itself says what is wrong
    const auto words = replaced_copy_words(*info, *rows, options.revision);
    if (words.empty()) return true;
    note(words);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return true;
    std::fputs("Go on? [y/N] ", stderr);
    std::string answer;
    std::getline(std::cin, answer);
    if (answer == "y" || answer == "Y" || answer == "yes") return true;
    note("nothing was changed");
    return false;
}

Result<int> roll_back(const RollbackOptions& options, Context& context) {
    Daemon daemon;
    if (!may_replace_copy(daemon, options, context)) return 1;
    const auto& subject = options.subject;
    const bool no_wait = options.wait.no_wait;
    daemon.waits_for(fmt::format("for '{}' to be {}", subject, no_wait ? "started" : "ready"));
    if (!context.json) daemon.tells_of(subject);
    const auto made =
        daemon.call(&dbus::Client::roll_back, subject, options.revision, wait_options(options.wait));
    if (!made) return std::unexpected(made.error());
    if (context.json) return show_process(daemon, subject, true);
    auto info = daemon.call(&dbus::Client::information, subject);
    if (!info) return std::unexpected(info.error());
    return tell_how_it_is(*info, Asked::Start, "", no_wait, revision_of(daemon, *info, *made));
}

std::string reason_words(const Json& row) {
    if (!row.contains("reason") || !row["reason"].is_object()) return "-";
    auto reason = reason_from_json(row["reason"]);
    reason.node.clear();
    reason.at.clear();
    return text::for_terminal(reason_text(reason));
}

// What a revision is, if that is not what a file said; why it was not kept, or a stop; and what came of its
// data.
std::string why_of(const Json& row) {
    std::string why;
    const auto add = [&why](const std::string& words) { why += (why.empty() ? "" : "; ") + words; };
    if (const auto earlier = cell(row, "rollback_of"); earlier != "-")
        add(fmt::format("a rollback to revision {}", earlier));
    if (const auto reason = reason_words(row); reason != "-") add(reason);
    if (const auto data = cell(row, "data"); data != "-") add(fmt::format("its data was {}", data));
    return why.empty() ? "-" : why;
}

Result<int> history(const std::string& subject, Context& context) {
    Daemon daemon;
    auto rows = daemon.call(&dbus::Client::history, subject);
    if (!rows) return std::unexpected(rows.error());
    if (context.json) {
        print(std::move(*rows), history_fields());
        return 0;
    }
    Table table;
    table.header = {"REVISION", "OUTCOME", "AGE", "BY", "WHY"};
    for (const auto& row : *rows) {
        const bool stop = row.contains("stop") && row["stop"].is_string();
        const auto by = cell(stop && row["reason"].is_object() ? row["reason"] : row, "by");
        table.rows.push_back({stop ? "stop" : cell(row, "revision"), cell(row, stop ? "stop" : "outcome"),
                              cell_age(row, "at"), by, why_of(row)});
    }
    print(table);
    daemon.note_if_out_of_date();
    return 0;
}

} // namespace

void add_revision_verbs(CLI::App& app, Action& action) {
    auto* history_verb =
        app.add_subcommand("history", "list the revisions and stops of a process, the newest first");
    const auto subject = std::make_shared<std::string>();
    history_verb->add_option("ID|NAME|DOMAIN", *subject, "the process")
        ->required()
        ->transform(url_as_domain());
    history_verb->callback(
        [&action, subject] { action = [subject](Context& c) { return history(*subject, c); }; });

    auto* rollback_verb = app.add_subcommand("rollback", "run an earlier revision of a process again");
    const auto rollback = std::make_shared<RollbackOptions>();
    rollback_verb->add_option("ID|NAME|DOMAIN", rollback->subject, "the process")
        ->required()
        ->transform(url_as_domain());
    rollback_verb
        ->add_option("REVISION", rollback->revision, "its number, see history; default: the last good one")
        ->check(number_between(1, largest_revision));
    rollback_verb->add_flag("-y,--yes", rollback->yes, "replace the copy of its data without asking");
    add_wait_options(rollback_verb, rollback->wait);
    rollback_verb->callback(
        [&action, rollback] { action = [rollback](Context& c) { return roll_back(*rollback, c); }; });
}

} // namespace p2prc::cli
