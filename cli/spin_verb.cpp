// spin.
#include "cli/daemon.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "cli/show_process.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/wait_options.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/process_spec.h"
#include "net/file.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

namespace p2prc::cli {
namespace {

struct SpinOptions {
    std::string subject; // FILE.toml or NAME
    std::string node;
    std::string domain;
    int port = -1;
    bool dry_run = false;
};

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

} // namespace

void add_spin_verb(CLI::App& app, Action& action) {
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
}

} // namespace p2prc::cli
