// spin, ps, info, kill, stop, start, restart, pause, resume, custom.
#include "cli/custom.h"
#include "cli/daemon.h"
#include "cli/explain.h"
#include "cli/last_stop.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "cli/process_words.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "core/duration.h"
#include "core/fields.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/process_spec.h"
#include "core/revision.h"
#include "core/stop_reason.h"
#include "core/text.h"
#include "net/file.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

namespace p2prc::cli {
namespace {

struct SpinOptions {
    std::string subject; // FILE.toml or NAME
    std::string node;
    std::string domain;
    int port = -1;
    bool dry_run = false;
};

constexpr std::uint64_t longest_wait = 900; // seconds; p2prcd refuses longer ones

// How long a start is waited for.
struct WaitOptions {
    bool no_wait = false;
    std::string timeout; // empty: as long as p2prcd thinks right
};

Json wait_options(const WaitOptions& options) {
    if (options.no_wait) return Json{{"until", "started"}};
    if (options.timeout.empty()) return Json{{"until", "ready"}};
    return Json{{"until", "ready"}, {"timeout_seconds", *parse_duration(options.timeout)}};
}

void add_wait_options(CLI::App* verb, WaitOptions& options) {
    auto* no_wait = verb->add_flag("--no-wait", options.no_wait, "return as soon as it has started");
    verb->add_option("--timeout", options.timeout,
                     "how long to wait for it to be ready: 30s, 10m (default 60s, or longer by its file)")
        ->type_name("TIME")
        ->check(time_up_to(longest_wait))
        ->excludes(no_wait);
}

// What is wrong with the arguments of spin, as far as it is not with a file; empty: nothing.
std::string misuse_of(const SpinOptions& options, const Context& context) {
    if (context.has_command)
        return context.command.empty() ? fmt::format("'{}' has no command after --", options.subject) : "";
    std::error_code error;
    if (!std::filesystem::exists(options.subject, error))
        return check_process_name(options.subject)
                   ? fmt::format("there is no file '{}', and no command follows it", options.subject)
                   : "";
    const bool for_commands = options.port >= 0 || !options.domain.empty();
    return for_commands ? "--port and --domain cannot be used with a process file; set them in the file" : "";
}

Result<ProcessSpec> spec_from_words(const SpinOptions& options, const Context& context) {
    Json document = {{"name", options.subject}, {"run", {{"command", context.command}}}};
    if (options.port >= 0) document["port"] = options.port;
    if (!options.domain.empty()) document["domain"] = options.domain;
    return spec_from_document(document);
}

// What to give instead of a directory. It may also have been meant as a name.
std::string instead_of_directory(const std::string& directory) {
    std::string first; // of its process files
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error))
        if (const auto path = entry.path().string();
            path.ends_with(".toml") && (first.empty() || path < first))
            first = path;
    if (!first.empty()) return fmt::format("give the process file: p2prc spin {}", first);
    if (check_process_name(directory))
        return fmt::format("give a process file, or the command to run: p2prc spin {} -- COMMAND...",
                           directory);
    return "give the path of a process file";
}

Result<ProcessSpec> spec_from_path(const SpinOptions& options) {
    auto text = net::read_file(options.subject, 1 << 20);
    std::error_code no_matter;
    if (!text && std::filesystem::is_directory(options.subject, no_matter)) {
        auto error = text.error();
        error.hint = instead_of_directory(options.subject);
        return std::unexpected(error);
    }
    if (!text && text.error().code == ErrorCode::NotFound) {
        std::error_code error;
        auto missing = text.error();
        missing.hint =
            fmt::format("check the path: {} does not exist",
                        std::filesystem::absolute(options.subject, error).lexically_normal().string());
        return std::unexpected(missing);
    }
    if (!text) return std::unexpected(text.error());
    return spec_from_toml(*text, options.subject);
}

Result<int> show_process(Daemon& daemon, const std::string& name, bool json) {
    auto info = daemon.call(&dbus::Client::information, name);
    if (!info) return std::unexpected(info.error());
    if (json) {
        print(*info, process_fields());
        return 0;
    }
    static constexpr std::array keys{"id",       "name",     "node",        "ip",           "port",
                                     "domains",  "state",    "ready",       "waits_for",    "next",
                                     "since",    "deployer", "run_command", "kill_command", "cpu_seconds",
                                     "restarts", "epoch",    "revision",    "digest"};
    const auto deployer = cell(info->value("deployment", Json::object()), "strategy");
    Table table;
    table.header = {"KEY", "VALUE"};
    table.last_has_lines = true; // a shell's command
    for (const auto* key : keys)
        table.rows.push_back({key, std::string_view(key) == "deployer" ? deployer : cell_lines(*info, key)});
    table.rows.push_back({"memory", cell_bytes(*info, "memory_bytes")});
    table.rows.push_back({"last stop", last_stop_text(*info)});
    add_custom(table, *info);
    print(table);
    daemon.note_if_out_of_date();
    if (const auto words = resume_words(*info); !words.empty()) note(words);
    for (const auto& line : reason_from_json(info->value("reason", Json::object())).log)
        note("  | " + text::for_terminal(line));
    return 0;
}

// A process runs in its data directory: a file of the caller's directory is not found from there.
void note_relative_files(const ProcessSpec& spec) {
    for (const auto& word : spec.run.command) {
        std::error_code error;
        const std::filesystem::path path(word);
        if (path.is_absolute() || word.starts_with('-') || !std::filesystem::is_regular_file(path, error))
            continue;
        note(fmt::format(
            "note: it runs in its data directory, where there may be no '{}'; to name the file that is "
            "here, write {}",
            word, std::filesystem::absolute(path, error).lexically_normal().string()));
    }
}

// Says how a process is doing after p2prcd has done what was asked. Returns the exit status.
int tell_how_it_is(const Json& process, Asked asked, std::string_view verb, bool no_wait,
                   const Revised& revision = {}, const std::string& domain = {}) {
    const auto told = how_it_is(process, asked, verb, no_wait, revision);
    for (const auto& line : told.lines)
        note(line);
    if (told.serves)
        for (const auto& address : web_addresses(process, domain))
            note(address);
    return told.status;
}

// What has come of a revision that was asked for.
Revised revision_of(Daemon& daemon, const Json& process, std::uint32_t number) {
    const auto rows = daemon.call(&dbus::Client::history, cell(process, "name"));
    return revised(process, rows.value_or(Json::array()), number);
}

// What a spin of the file is about to change of a process that is there; nothing: it is none, or as the file
// says. Only what a person sees beforehand: what cannot be said here, the call itself says.
std::optional<Json> update_of(Daemon& daemon, const ProcessSpec& spec, const std::string& node) {
    if (!daemon.call(&dbus::Client::information, spec.name)) return std::nullopt;
    auto explained = daemon.call(&dbus::Client::explain_spin, spec_to_document(spec), node);
    if (!explained || explained->value("changes", Json::array()).empty()) return std::nullopt;
    return *explained;
}

// Whether the update could have gone back to its data.
void note_data_of_update(Daemon& daemon, const Json& info) {
    const auto rows = daemon.call(&dbus::Client::history, cell(info, "name"));
    if (!rows) return;
    for (const auto& row : *rows)
        if (cell(row, "revision") == cell(info, "revision") && cell(row, "data").starts_with("not copied"))
            note(fmt::format("its data was {}", cell(row, "data")));
}

Result<int> spin(const SpinOptions& options, const WaitOptions& waiting, Context& context) {
    if (const auto misuse = misuse_of(options, context); !misuse.empty())
        return report_usage(misuse,
                            "p2prc spin FILE.toml [--node N], or p2prc spin NAME [--port P] [--node N] "
                            "[--domain D] -- COMMAND...",
                            context);
    auto spec = context.has_command ? spec_from_words(options, context) : spec_from_path(options);
    if (!spec) return std::unexpected(spec.error());
    const auto wait = wait_options(waiting);
    if (options.dry_run) return explain_spin(*spec, options.node, context);
    note_relative_files(*spec);
    const auto before = former_data(spec->name);
    Daemon daemon;
    const auto update = update_of(daemon, *spec, options.node);
    if (update && !context.json) note_update(*spec, *update);
    daemon.waits_for(fmt::format("for '{}' to be {}", spec->name,
                                 waiting.no_wait ? "started"
                                 : update        ? "ready, and to stay up for ten seconds"
                                                 : "ready"));
    if (!context.json) daemon.tells_of(spec->name);
    auto process = daemon.call(&dbus::Client::spin_with, spec_to_document(*spec), options.node, wait);
    if (!context.json) note_former_data(spec->name, before);
    if (!process) return std::unexpected(process.error());
    if (context.json) return show_process(daemon, spec->name, true);
    auto info = daemon.call(&dbus::Client::information, spec->name);
    if (!info) return std::unexpected(info.error());
    if (update && spec->update.snapshot) note_data_of_update(daemon, *info);
    const auto revision =
        update ? revision_of(daemon, *info, json::member<std::uint32_t>(*update, "revision")) : Revised();
    return tell_how_it_is(*info, Asked::Spin, "runs", waiting.no_wait, revision, spec->domain);
}

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

struct DeployOptions {
    std::string subject;
    bool again = false, clean = false; // one of them
    WaitOptions wait;
};

Result<int> deploy_again(const DeployOptions& options, const Context& context) {
    const auto wait = wait_options(options.wait);
    Daemon daemon;
    daemon.waits_for(
        fmt::format("for '{}' to be {}", options.subject, options.wait.no_wait ? "started" : "ready"));
    if (!context.json) daemon.tells_of(options.subject);
    const auto made = daemon.call(&dbus::Client::redeploy, options.subject, wait);
    if (!made) return std::unexpected(made.error());
    if (context.json) return show_process(daemon, options.subject, true);
    const auto info = daemon.call(&dbus::Client::information, options.subject);
    if (!info) return std::unexpected(info.error());
    auto revision = revision_of(daemon, *info, *made);
    revision.redeployed = true;
    return tell_how_it_is(*info, Asked::Start, "", options.wait.no_wait, revision);
}

Result<int> clean_deployments(const std::string& subject, const Context& context) {
    Daemon daemon;
    daemon.waits_for("for what is not needed any more to be removed");
    const auto removed = daemon.call(&dbus::Client::clean_deployments, subject);
    if (!removed) return std::unexpected(removed.error());
    if (context.json) {
        print(*removed, cleaned_fields());
        return 0;
    }
    note(cleaned_words(*removed));
    return 0;
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
        print(*rows, history_fields());
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

Result<int> list(Context& context) {
    Daemon daemon;
    auto processes = daemon.call(&dbus::Client::processes);
    if (!processes) return std::unexpected(processes.error());
    if (context.json) {
        print(*processes, process_fields());
        return 0;
    }
    Table table;
    table.header = {"ID", "NAME", "NODE", "STATE", "SINCE", "PORT", "MEMORY", "DOMAIN", "LAST STOP"};
    table.when_empty = "no processes; spin one: p2prc spin NAME -- COMMAND...";
    for (const auto& process : *processes)
        table.rows.push_back({cell(process, "id"), cell(process, "name"), cell(process, "node"),
                              cell(process, "state"), cell_age(process, "since"), cell(process, "port"),
                              cell_bytes(process, "memory_bytes"), cell(process, "domain"),
                              last_stop_kind(process)});
    print(table);
    daemon.note_if_out_of_date();
    return 0;
}

// Domains that stay when their process is killed, so that the person learns of them.
std::vector<std::string> domains_waiting_for(Daemon& daemon, const std::string& name) {
    std::vector<std::string> waiting;
    const auto domains = daemon.call(&dbus::Client::domains);
    if (!domains) return waiting;
    for (const auto& domain : *domains)
        if (cell(domain, "process") == name) waiting.push_back(cell(domain, "domain"));
    return waiting;
}

// Whether the node is up, as far as it is known: what is asked of another one is done when it is back.
bool answers(Daemon& daemon, const std::string& name) {
    const auto nodes = daemon.call(&dbus::Client::nodes);
    if (!nodes) return true;
    return std::ranges::none_of(
        *nodes, [&](const Json& node) { return cell(node, "name") == name && cell(node, "state") != "up"; });
}

Result<int> kill(const std::string& subject, Context& context) {
    Daemon daemon;
    // For the message afterwards; a process that cannot be shown can be killed all the same.
    const auto info = daemon.call(&dbus::Client::information, subject).value_or(Json::object());
    const auto name = info.contains("name") ? cell(info, "name") : subject;
    daemon.waits_for(fmt::format("for '{}' to stop", name));
    if (auto killed = daemon.call(&dbus::Client::kill, subject); !killed)
        return std::unexpected(killed.error());
    const auto waiting = domains_waiting_for(daemon, name);
    if (context.json) {
        print(Json{{"id", info.value("id", 0)}, {"name", name}, {"waiting_domains", waiting}});
        return 0;
    }
    if (const auto node = cell(info, "node"); node != "-")
        note((answers(daemon, node) ? fmt::format("killed '{}' on {}", name, node)
                                    : removed_unheard_words(name, node)) +
             kept_data_words(daemon, info));
    else
        note(fmt::format("killed '{}'", name));
    for (const auto& domain : waiting)
        note(fmt::format("{} stays reserved for a process named '{}'; to release it: p2prc unmap-domain {}",
                         domain, name, domain));
    return 0;
}

Result<int> stop(const std::string& subject, Context& context) {
    Daemon daemon;
    daemon.waits_for(fmt::format("for '{}' to stop", subject));
    if (auto stopped = daemon.call(&dbus::Client::stop, subject); !stopped)
        return std::unexpected(stopped.error());
    if (context.json) return show_process(daemon, subject, true);
    const auto info = daemon.call(&dbus::Client::information, subject);
    const auto name = info ? cell(*info, "name") : subject;
    if (!info || cell(*info, "state") == "stopped" || cell(*info, "state") == "failed")
        note(fmt::format("'{0}' is stopped; p2prc start {0} starts it again", name));
    else if (!answers(daemon, cell(*info, "node")))
        note(stop_unheard_words(name, cell(*info, "node")));
    else
        note(fmt::format("'{}' will be stopped; now it is {} on {}", name, cell(*info, "state"),
                         cell(*info, "node")));
    return 0;
}

Result<int> pause(const std::string& subject, Context& context) {
    Daemon daemon;
    daemon.waits_for(fmt::format("for '{}' to be frozen", subject));
    if (auto paused = daemon.call(&dbus::Client::pause, subject); !paused)
        return std::unexpected(paused.error());
    if (context.json) return show_process(daemon, subject, true);
    const auto info = daemon.call(&dbus::Client::information, subject);
    if (!info) return std::unexpected(info.error());
    const auto name = cell(*info, "name");
    const auto state = cell(*info, "state");
    note(state == "paused"
             ? fmt::format("'{0}' is paused; p2prc resume {0} lets it go on", name)
             : fmt::format("'{0}' is {1}, and is not started before p2prc resume {0}", name, state));
    return 0;
}

Result<int> resume(const std::string& subject, const WaitOptions& waiting, Context& context) {
    const auto wait = wait_options(waiting);
    Daemon daemon;
    daemon.waits_for(fmt::format("for '{}' to go on", subject));
    if (!context.json) daemon.tells_of(subject);
    if (auto resumed = daemon.call(&dbus::Client::resume_with, subject, wait); !resumed)
        return std::unexpected(resumed.error());
    if (context.json) return show_process(daemon, subject, true);
    const auto info = daemon.call(&dbus::Client::information, subject);
    if (!info) return std::unexpected(info.error());
    const auto state = cell(*info, "state");
    // What was stopped, or has ended, before it was paused stays so.
    if (state != "stopped" && state != "failed")
        return tell_how_it_is(*info, Asked::Start, "goes on", waiting.no_wait);
    note(fmt::format("'{0}' is not paused; it is {1}, and p2prc start {0} starts it", cell(*info, "name"),
                     state));
    return 0;
}

using Change = boost::asio::awaitable<Result<void>> (dbus::Client::*)(std::string process, Json options);

Result<int> start(Change method, std::string_view done, const std::string& subject,
                  const WaitOptions& waiting, Context& context) {
    const auto wait = wait_options(waiting);
    Daemon daemon;
    daemon.waits_for(fmt::format("for '{}' to be {}", subject, waiting.no_wait ? "started" : "ready"));
    if (!context.json) daemon.tells_of(subject);
    if (auto changed = daemon.call(method, subject, wait); !changed) return std::unexpected(changed.error());
    if (context.json) return show_process(daemon, subject, true);
    auto info = daemon.call(&dbus::Client::information, subject);
    if (!info) return std::unexpected(info.error());
    return tell_how_it_is(*info, Asked::Start, done, waiting.no_wait);
}

// One process, or with --owner all of a node.
struct Paused {
    std::string subject, owner;
    WaitOptions wait;
};

Result<int> pause_owner(const std::string& owner, bool resumed, const Context& context) {
    Daemon daemon;
    const auto done = daemon.call(resumed ? &dbus::Client::resume_owner : &dbus::Client::pause_owner, owner);
    if (!done) return std::unexpected(done.error());
    if (context.json) {
        print(Json{{"owner", owner}});
        return 0;
    }
    note(resumed ? fmt::format("what '{}' has spun here goes on", owner)
                 : fmt::format("what '{0}' has spun here, and will spin, is paused; p2prc resume --owner {0} "
                               "lets it go on",
                               owner));
    return 0;
}

std::shared_ptr<Paused> add_pause_options(CLI::App* verb) {
    auto given = std::make_shared<Paused>();
    auto* process =
        verb->add_option("ID|NAME|DOMAIN", given->subject, "the process")->transform(url_as_domain());
    verb->add_option("--owner", given->owner, "all processes that this node has spun here, and will spin")
        ->type_name("NODE")
        ->excludes(process);
    return given;
}

// An empty one, as of a script's unset variable, is none.
void check_named(const Paused& given) {
    if (given.subject.empty() && given.owner.empty())
        throw CLI::RequiredError("a process (ID|NAME|DOMAIN), or --owner NODE,");
}

void add_pause_verbs(CLI::App& app, Action& action) {
    auto* pause_verb = app.add_subcommand("pause", "freeze a process of this machine, until it is resumed");
    const auto paused = add_pause_options(pause_verb);
    pause_verb->callback([&action, paused] {
        check_named(*paused);
        action = [paused](Context& c) -> Result<int> {
            if (!paused->owner.empty()) return pause_owner(paused->owner, false, c);
            return pause(paused->subject, c);
        };
    });
    auto* resume_verb = app.add_subcommand("resume", "let a paused process go on");
    const auto resumed = add_pause_options(resume_verb);
    add_wait_options(resume_verb, resumed->wait);
    resume_verb->callback([&action, resumed] {
        check_named(*resumed);
        action = [resumed](Context& c) -> Result<int> {
            if (!resumed->owner.empty()) return pause_owner(resumed->owner, true, c);
            return resume(resumed->subject, resumed->wait, c);
        };
    });
}

} // namespace

void add_process_verbs(CLI::App& app, Action& action) {
    auto* spin_verb = app.add_subcommand("spin", "start a new process and wait until it is ready");
    auto options = std::make_shared<SpinOptions>();
    spin_verb
        ->add_option("FILE.toml|NAME", options->subject, "a process file, or a name followed by -- COMMAND")
        ->required();
    spin_verb
        ->add_option("--node", options->node,
                     "the node to run on; default: the one that the file's [placement] "
                     "chooses, or this one")
        ->type_name("NODE");
    spin_verb
        ->add_option("--port", options->port, "the port it listens on; 0: p2prc chooses one and sets $PORT")
        ->type_name("PORT")
        ->check(number_between(0, 65535));
    spin_verb->add_option("--domain", options->domain, "a domain to map to it")
        ->type_name("DOMAIN")
        ->transform(url_as_domain());
    spin_verb->footer("p2prc spin NAME [--port P] [--domain D] -- COMMAND... runs a command without a file.");
    const auto waiting = std::make_shared<WaitOptions>();
    add_wait_options(spin_verb, *waiting);
    spin_verb
        ->add_flag("--dry-run", options->dry_run,
                   "only say what would be done, and which nodes fit or why not")
        ->excludes(spin_verb->get_option("--no-wait"))
        ->excludes(spin_verb->get_option("--timeout"));
    spin_verb->callback([&action, options, waiting] {
        action = [options, waiting](Context& c) { return spin(*options, *waiting, c); };
    });

    app.add_subcommand("ps", "list the processes of the whole fleet")->callback([&action] { action = list; });

    auto add = [&](const char* verb, const char* words, auto run) {
        auto* command = app.add_subcommand(verb, words);
        auto subject = std::make_shared<std::string>();
        command->add_option("ID|NAME|DOMAIN", *subject, "the process")
            ->required()
            ->transform(url_as_domain());
        command->callback(
            [&action, subject, run] { action = [subject, run](Context& c) { return run(*subject, c); }; });
    };
    add("info", "show a process", [](const std::string& subject, Context& context) -> Result<int> {
        Daemon daemon;
        return show_process(daemon, subject, context.json);
    });
    add("history", "list the revisions and stops of a process, the newest first", history);
    add("kill", "stop a process and remove its record; its data stays", kill);
    add("stop", "stop a process and keep its record", stop);
    auto add_start = [&](const char* verb, const char* words, Change method, const char* done) {
        auto* command = app.add_subcommand(verb, words);
        auto subject = std::make_shared<std::string>();
        command->add_option("ID|NAME|DOMAIN", *subject, "the process")
            ->required()
            ->transform(url_as_domain());
        auto wait = std::make_shared<WaitOptions>();
        add_wait_options(command, *wait);
        command->callback([&action, subject, wait, method, done] {
            action = [subject, wait, method, done](Context& c) {
                return start(method, done, *subject, *wait, c);
            };
        });
    };
    add_start("start", "start a stopped process and wait until it is ready", &dbus::Client::start_with,
              "runs");
    add_start("restart", "stop and start a process", &dbus::Client::restart_with, "runs again");

    add_pause_verbs(app, action);

    auto* custom_verb = app.add_subcommand("custom", "store information of your own about a process");
    auto described = std::make_shared<std::string>();
    auto file = std::make_shared<std::string>();
    custom_verb->add_option("ID|NAME|DOMAIN", *described, "the process")
        ->required()
        ->transform(url_as_domain());
    custom_verb->add_option("FILE.json", *file, "a JSON object of texts, or - for standard input")
        ->required();
    custom_verb->callback([&action, described, file] {
        action = [described, file](Context& c) {
            return store_custom(&dbus::Client::set_process_custom, "process", *described, *file, c);
        };
    });

    auto* deploy_verb = app.add_subcommand("deploy", "deploy a process anew, or remove what deployers left");
    const auto deployed = std::make_shared<DeployOptions>();
    const auto* deployed_process = deploy_verb
                                       ->add_option("ID|NAME|DOMAIN", deployed->subject,
                                                    "the process; with --clean it may be left out: all")
                                       ->transform(url_as_domain());
    auto* again = deploy_verb->add_flag("--again", deployed->again,
                                        "run its deployer anew, and the process with the new result");
    add_wait_options(deploy_verb, deployed->wait);
    deploy_verb
        ->add_flag("--clean", deployed->clean,
                   "remove results that no revision needs, and caches, from this machine")
        ->excludes(again)
        ->excludes(deploy_verb->get_option("--no-wait"))
        ->excludes(deploy_verb->get_option("--timeout"));
    deploy_verb->callback([&action, deployed, deployed_process] {
        if (!deployed->again && !deployed->clean) throw CLI::RequiredError("--again or --clean");
        // An empty one, as of a script's unset variable, is not all of them.
        const bool named = deployed->again || deployed_process->count() > 0;
        if (named && deployed->subject.empty()) throw CLI::RequiredError("ID|NAME|DOMAIN");
        action = [deployed](Context& c) {
            return deployed->clean ? clean_deployments(deployed->subject, c) : deploy_again(*deployed, c);
        };
    });

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
