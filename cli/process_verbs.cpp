// ps, info, kill, stop, start, restart, custom.
#include "cli/custom.h"
#include "cli/daemon.h"
#include "cli/last_stop.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "cli/show_process.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/wait_options.h"
#include "core/fields.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace p2prc::cli {
namespace {

Result<int> list(Context& context) {
    // The table needs less than half of what is known; each field is measured, sent and read for itself.
    static constexpr std::array shown{"id",   "name",         "node",   "state", "since",
                                      "port", "memory_bytes", "domain", "reason"};
    Daemon daemon;
    auto processes = context.json ? daemon.call(&dbus::Client::processes)
                                  : daemon.call(&dbus::Client::processes_with, Json{{"fields", shown}});
    if (!processes) return std::unexpected(processes.error());
    if (context.json) {
        print(std::move(*processes), process_fields());
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

} // namespace

void add_process_verbs(CLI::App& app, Action& action) {
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
}

} // namespace p2prc::cli
