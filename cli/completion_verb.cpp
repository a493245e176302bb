// __complete: names for the shells' completion. Silent when the daemon does not answer.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace p2prc::cli {
namespace {

Result<int> complete(const std::string& kind) {
    Daemon daemon;
    const auto [method, key] = kind == "nodes"     ? std::pair(&dbus::Client::nodes, "name")
                               : kind == "zones"   ? std::pair(&dbus::Client::zones, "name")
                               : kind == "domains" ? std::pair(&dbus::Client::domains, "domain")
                                                   : std::pair(&dbus::Client::processes, "name");
    const auto rows = daemon.call(method);
    if (!rows) return 0;
    for (const auto& row : *rows)
        if (row.contains(key) && row[key].is_string()) print_line(cell(row, key));
    return 0;
}

} // namespace

void add_completion_verb(CLI::App& app, Action& action) {
    auto* verb = app.add_subcommand("__complete", "names for completion")->group("");
    auto kind = std::make_shared<std::string>();
    verb->add_option("KIND", *kind)
        ->required()
        ->check(CLI::IsMember({"processes", "nodes", "domains", "zones"}));
    verb->callback([&action, kind] { action = [kind](Context&) { return complete(*kind); }; });
}

} // namespace p2prc::cli
