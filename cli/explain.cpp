#include "cli/explain.h"

#include "cli/daemon.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

bool is(const Json& row, const char* key) {
    return row.is_object() && row.value(key, Json()) == true;
}

std::string why(const Json& row) {
    std::string text;
    for (const auto& obstacle : row.value("obstacles", Json::array()))
        text += (text.empty() ? "" : "; ") + cell(obstacle, "text");
    if (!text.empty()) return text;
    const auto summary = cell(row, "summary");
    return summary == "-" ? "fits" : summary;
}

// What to do about each, said once.
void note_fixes(const Json& rows) {
    for (const auto& row : rows)
        for (const auto& obstacle : row.value("obstacles", Json::array()))
            if (const auto fix = cell(obstacle, "fix"); fix != "-")
                note(fmt::format("  {}: {}: {}", cell(row, "node"), cell(obstacle, "code"), fix));
}

} // namespace

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
    if (chosen) return 0;
    note(fmt::format("no node fits '{}':", spec.name));
    note_fixes(rows);
    return 1;
}

} // namespace p2prc::cli
