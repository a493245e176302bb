// deploy.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "cli/show_process.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/wait_options.h"
#include "core/fields.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace p2prc::cli {
namespace {

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

} // namespace

void add_deploy_verb(CLI::App& app, Action& action) {
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
}

} // namespace p2prc::cli
