#include "cli/show_process.h"

#include "cli/custom.h"
#include "cli/last_stop.h"
#include "cli/output.h"
#include "cli/process_data.h"
#include "core/fields.h"
#include "core/stop_reason.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>

namespace p2prc::cli {

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

int tell_how_it_is(const Json& process, Asked asked, std::string_view verb, bool no_wait,
                   const Revised& revision, const std::string& domain) {
    const auto told = how_it_is(process, asked, verb, no_wait, revision);
    for (const auto& line : told.lines)
        note(line);
    if (told.serves)
        for (const auto& address : web_addresses(process, domain))
            note(address);
    return told.status;
}

Revised revision_of(Daemon& daemon, const Json& process, std::uint32_t number) {
    const auto rows = daemon.call(&dbus::Client::history, cell(process, "name"));
    return revised(process, rows.value_or(Json::array()), number);
}

} // namespace p2prc::cli
