// spin, ps, info, kill, stop, start, restart.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/fields.h"
#include "core/names.h"
#include "core/process_spec.h"
#include "core/stop_reason.h"
#include "net/file.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <array>
#include <memory>

namespace p2prc::cli {
namespace {

struct SpinOptions {
    std::string subject; // FILE.toml or NAME
    std::string node;
    std::string domain;
    int port = -1;
};

Error usage(std::string message) {
    return {ErrorCode::InvalidSpec, std::move(message),
            "p2prc spin FILE.toml [--node N], or p2prc spin NAME [--port P] [--node N] [--domain D] -- "
            "COMMAND..."};
}

Result<ProcessSpec> spec_from_words(const SpinOptions& options, const Context& context) {
    if (context.command.empty())
        return std::unexpected(usage(fmt::format("'{}' has no command behind --", options.subject)));
    Json document = {{"name", options.subject}, {"run", {{"command", context.command}}}};
    if (options.port >= 0) document["port"] = options.port;
    if (!options.domain.empty()) document["domain"] = options.domain;
    return spec_from_document(document);
}

Result<ProcessSpec> spec_from_path(const SpinOptions& options) {
    auto text = net::read_file(options.subject, 1 << 20);
    if (!text && text.error().code == ErrorCode::NotFound && check_process_name(options.subject))
        return std::unexpected(
            usage(fmt::format("'{}' is no file, and no command follows it", options.subject)));
    if (!text) return std::unexpected(text.error());
    if (options.port >= 0 || !options.domain.empty())
        return std::unexpected(usage("--port and --domain stand in the process file, not beside it"));
    return spec_from_toml(*text, options.subject);
}

Result<int> show_process(Daemon& daemon, const std::string& name, bool json) {
    auto info = daemon.call(&dbus::Client::information, name);
    if (!info) return std::unexpected(info.error());
    if (json) {
        print(*info, process_fields());
        return 0;
    }
    static constexpr std::array keys{"id",          "name",     "node",  "ip",          "port",
                                     "domains",     "state",    "since", "run_command", "kill_command",
                                     "cpu_seconds", "restarts", "epoch", "digest"};
    Table table;
    table.header = {"KEY", "VALUE"};
    for (const auto* key : keys)
        table.rows.push_back({key, cell(*info, key)});
    table.rows.push_back({"memory", cell_bytes(*info, "memory_bytes")});
    const bool stopped_before = info->contains("reason") && (*info)["reason"].is_object();
    table.rows.push_back(
        {"last stop", stopped_before ? reason_text(reason_from_json((*info)["reason"])) : "-"});
    print(table);
    if (stopped_before)
        for (const auto& line : reason_from_json((*info)["reason"]).log)
            note("  | " + line);
    return 0;
}

Result<int> spin(const SpinOptions& options, Context& context) {
    auto spec = context.has_command ? spec_from_words(options, context) : spec_from_path(options);
    if (!spec) return std::unexpected(spec.error());
    Daemon daemon;
    auto process = daemon.call(&dbus::Client::spin, spec_to_document(*spec), options.node);
    if (!process) return std::unexpected(process.error());
    if (context.json) return show_process(daemon, spec->name, true);
    auto info = daemon.call(&dbus::Client::information, spec->name);
    if (!info) return std::unexpected(info.error());
    // A command may be executed and end at once.
    if (!info->value("status", false)) {
        note(fmt::format("'{}' was started on {} and is {} by now; p2prc logs {} says more", spec->name,
                         cell(*info, "node"), cell(*info, "state"), spec->name));
        return 0;
    }
    note(fmt::format("'{}' runs on {}{}", spec->name, cell(*info, "node"),
                     info->value("port", 0) ? fmt::format(", port {}", cell(*info, "port")) : ""));
    if (const auto domain = cell(*info, "domain"); domain != "-") note("https://" + domain);
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
    for (const auto& process : *processes) {
        const bool stopped = process.contains("reason") && process["reason"].is_object();
        table.rows.push_back({cell(process, "id"), cell(process, "name"), cell(process, "node"),
                              cell(process, "state"), cell_age(process, "since"), cell(process, "port"),
                              cell_bytes(process, "memory_bytes"), cell(process, "domain"),
                              stopped ? cell(process["reason"], "kind") : "-"});
    }
    print(table);
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

Result<int> kill(const std::string& subject, Context& context) {
    Daemon daemon;
    auto info = daemon.call(&dbus::Client::information, subject);
    if (!info) return std::unexpected(info.error());
    const auto name = cell(*info, "name");
    if (auto killed = daemon.call(&dbus::Client::kill, subject); !killed)
        return std::unexpected(killed.error());
    const auto waiting = domains_waiting_for(daemon, name);
    if (context.json) {
        print(Json{{"id", info->value("id", 0)}, {"name", name}, {"waiting_domains", waiting}});
        return 0;
    }
    note(fmt::format("killed '{}' on {}; its data stays in /var/lib/p2prc-data/{}", name, cell(*info, "node"),
                     name));
    for (const auto& domain : waiting)
        note(fmt::format("{} still waits for a process '{}'; p2prc unmap-domain {} removes it", domain, name,
                         domain));
    return 0;
}

using Change = boost::asio::awaitable<Result<void>> (dbus::Client::*)(std::string process);

Result<int> change(Change method, std::string_view done, const std::string& subject, Context& context) {
    Daemon daemon;
    if (auto changed = daemon.call(method, subject); !changed) return std::unexpected(changed.error());
    if (context.json) return show_process(daemon, subject, true);
    note(fmt::format("'{}' {}", subject, done));
    return 0;
}

} // namespace

void add_process_verbs(CLI::App& app, Action& action) {
    auto* spin_verb = app.add_subcommand("spin", "spins a process and waits until it runs");
    auto options = std::make_shared<SpinOptions>();
    spin_verb
        ->add_option("FILE.toml|NAME", options->subject, "a process file, or a name with a command behind --")
        ->required();
    spin_verb->add_option("--node", options->node, "the node to run on; default: this one");
    spin_verb->add_option("--port", options->port, "the port it listens on; 0: a chosen one, in $PORT")
        ->check(CLI::Range(0, 65535));
    spin_verb->add_option("--domain", options->domain, "a domain to map to it");
    spin_verb->footer("p2prc spin NAME [--port P] [--domain D] -- COMMAND... runs a command without a file.");
    spin_verb->callback([&action, options] { action = [options](Context& c) { return spin(*options, c); }; });

    app.add_subcommand("ps", "lists the processes of the whole fleet")->callback([&action] {
        action = list;
    });

    auto add = [&](const char* verb, const char* words, auto run) {
        auto* command = app.add_subcommand(verb, words);
        auto subject = std::make_shared<std::string>();
        command->add_option("ID|NAME|DOMAIN", *subject, "the process")->required();
        command->callback(
            [&action, subject, run] { action = [subject, run](Context& c) { return run(*subject, c); }; });
    };
    add("info", "shows a process", [](const std::string& subject, Context& context) -> Result<int> {
        Daemon daemon;
        return show_process(daemon, subject, context.json);
    });
    add("kill", "stops a process and forgets it; its data stays", kill);
    add("stop", "stops a process and keeps its record", [](const std::string& subject, Context& context) {
        return change(&dbus::Client::stop, "is stopped; p2prc start brings it back", subject, context);
    });
    add("start", "starts a stopped process", [](const std::string& subject, Context& context) {
        return change(&dbus::Client::start, "runs", subject, context);
    });
    add("restart", "stops and starts a process", [](const std::string& subject, Context& context) {
        return change(&dbus::Client::restart, "runs again", subject, context);
    });
}

} // namespace p2prc::cli
