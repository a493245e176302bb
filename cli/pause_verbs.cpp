// pause, resume.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/show_process.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "cli/wait_options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace p2prc::cli {
namespace {

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

} // namespace

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

} // namespace p2prc::cli
