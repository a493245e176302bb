#include "cli/explain.h"

#include "cli/daemon.h"
#include "core/duration.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

bool is(const Json& row, const char* key) {
    return row.is_object() && row.value(key, Json()) == true;
}

std::string obstacles_of(const Json& row) {
    std::string text;
    for (const auto& obstacle : row.value("obstacles", Json::array()))
        text += (text.empty() ? "" : "; ") + cell(obstacle, "text");
    return text;
}

std::string why(const Json& row) {
    auto text = obstacles_of(row);
    if (!text.empty()) return text;
    const auto summary = cell(row, "summary");
    return summary == "-" ? "fits" : summary;
}

// What to do about each, said once.
void note_fixes(const Json& rows, const char* subject) {
    for (const auto& row : rows)
        for (const auto& obstacle : row.value("obstacles", Json::array()))
            if (const auto fix = cell(obstacle, "fix"); fix != "-")
                note(fmt::format("  {}: {}: {}", cell(row, subject), cell(obstacle, "code"), fix));
}

std::string value_words(const Json& change, const char* key) {
    return change.contains(key) && change[key].is_string() ? cell(change, key) : std::string("not set");
}

} // namespace

std::vector<std::string> change_lines(const Json& change) {
    const auto is_long = [&](const char* key) {
        const auto value = change.find(key);
        return value != change.end() && value->is_string() &&
               (value->get_ref<const std::string&>().contains('\n') ||
                value->get_ref<const std::string&>().empty());
    };
    if (!is_long("from") && !is_long("to"))
        return {fmt::format("{}: {} -> {}", cell(change, "key"), value_words(change, "from"),
                            value_words(change, "to"))};
    std::vector<std::string> lines{cell(change, "key") + ":"};
    const auto add = [&](const char* key, char sign) {
        if (!change.contains(key) || !change[key].is_string()) return;
        std::istringstream text(change[key].get<std::string>());
        for (std::string line; std::getline(text, line);)
            lines.push_back(fmt::format("  {} {}", sign, text::for_terminal(line)));
    };
    add("from", '-');
    add("to", '+');
    return lines;
}

void note_update(const ProcessSpec& spec, const Json& explanation) {
    std::string_view how = "; nothing restarts:";
    if (is(explanation, "restarts"))
        how = spec.update.order == UpdateOrder::StartFirst ? ", which takes over once it has proved itself:"
                                                           : ", and is restarted:";
    note(fmt::format("'{}' becomes revision {} on {}{}", spec.name, cell(explanation, "revision"),
                     cell(explanation, "node"), how));
    for (const auto& change : explanation.value("changes", Json::array()))
        for (const auto& line : change_lines(change))
            note("  " + line);
}

Table placement_table(const Json& rows) {
    Table table;
    table.header = {"NODE", "FITS", "WHY"};
    for (const auto& row : rows)
        table.rows.push_back({cell(row, "node"),
                              is(row, "chosen") ? "chosen"
                              : is(row, "fits") ? "yes"
                                                : "no",
                              why(row)});
    return table;
}

std::string unplaced_words(const std::string& process, const std::string& node, const Json& rows) {
    std::string fitting;
    for (const auto& row : rows)
        if (is(row, "fits")) fitting += (fitting.empty() ? "" : ", ") + cell(row, "node");
    if (fitting.empty()) return fmt::format("no node fits '{}':", process);
    const auto where = node.empty() ? std::string("this machine") : fmt::format("node '{}'", node);
    return fmt::format("'{}' does not fit {}; to run it on one that fits ({}), give --node:", process, where,
                       fitting);
}

Result<int> explain_spin(const ProcessSpec& spec, const std::string& node, const Context& context) {
    Daemon daemon;
    const auto explained = daemon.call(&dbus::Client::explain_spin, spec_to_document(spec), node);
    if (!explained) return std::unexpected(explained.error());
    const auto rows = explained->value("placement", Json::array());
    const bool chosen = std::ranges::any_of(rows, [](const Json& row) { return is(row, "chosen"); });
    if (context.json) {
        print(*explained, explanation_fields());
        return chosen ? 0 : 1;
    }
    print(placement_table(rows));
    if (!explained->value("changes", Json::array()).empty()) note_update(spec, *explained);
    if (chosen) return 0;
    note(unplaced_words(spec.name, node, rows));
    note_fixes(rows, "node");
    return 1;
}

Table drained_table(const Json& rows) {
    Table table;
    table.header = {"PROCESS", "TO", "WHY"};
    table.when_empty = "no processes are there";
    for (const auto& row : rows) {
        const auto obstacles = obstacles_of(row);
        table.rows.push_back({cell(row, "process"), cell(row, "to"), obstacles.empty() ? "-" : obstacles});
    }
    return table;
}

Result<int> drain_node(const std::string& name, bool dry_run, const std::string& deadline,
                       const Context& context) {
    Json options{{"dry_run", dry_run}};
    if (!deadline.empty()) options["deadline_seconds"] = *parse_duration(deadline);
    Daemon daemon;
    daemon.waits_for(fmt::format("for the processes of '{}' to run elsewhere", name));
    const auto rows = daemon.call(&dbus::Client::drain_node, name, options);
    if (!rows) return std::unexpected(rows.error());
    const bool stays = std::ranges::any_of(*rows, [](const Json& row) { return !obstacles_of(row).empty(); });
    if (context.json) {
        print(*rows, drained_fields());
        return stays ? 1 : 0;
    }
    print(drained_table(*rows));
    note_fixes(*rows, "process");
    if (!dry_run)
        note(fmt::format("'{0}' takes no processes any more; p2prc nodes resume {0} changes that", name));
    return stays ? 1 : 0;
}

} // namespace p2prc::cli
