// Commands of the contract that this version does not build: each says so, and none is accepted and ignored.
#include "cli/output.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <array>

namespace p2prc::cli {

void add_later_verbs(CLI::App& app, Action& action) {
    struct Later {
        const char* name;
        const char* words;
        const char* instead;
    };
    static constexpr std::array verbs{
        Later{"move", "move a process with its data",
              "kill it here and spin it there; copy /var/lib/p2prc-data/NAME"},
        Later{"map-port", "map a public port", "map a domain; its port is 443"},
        Later{"unmap-port", "unmap a public port", "p2prc unmap-domain removes a domain"},
        Later{"ports", "list the public ports", "p2prc domains lists the domains"},
        Later{"forward", "forward a local port to a node's port",
              "map a domain to the process that listens there"},
        Later{"ssh", "open a shell on a node", "p2prc spin NAME --node NODE -- COMMAND runs a command there"},
        Later{"job", "run batches of tasks", "p2prc spin NAME --node NODE -- COMMAND runs one"},
        Later{"volunteer", "lend this machine's time", "p2prc join TOKEN makes it a member of a fleet"},
        Later{"backup", "back up the registry",
              "mask p2prcd and its socket, and copy /var/lib/p2prc: BACKUP in p2prcd(8)"},
        Later{"restore", "restore the registry",
              "mask p2prcd and its socket, and put the copy back: BACKUP in p2prcd(8)"},
    };
    for (const auto& verb : verbs) {
        auto* command = app.add_subcommand(verb.name, verb.words)->group(later_group);
        // Whatever follows is for a later version to judge.
        command->allow_extras()->fallthrough(false);
        command->callback([&action, verb] {
            action = [verb](Context&) -> Result<int> {
                return fail(ErrorCode::NotSupported,
                            fmt::format("p2prc {} is not in this version", verb.name), verb.instead);
            };
        });
    }
}

} // namespace p2prc::cli
