#include "cli/node_table.h"

#include "cli/custom.h"
#include "core/json_members.h"
#include "core/names.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <vector>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

std::string latency(const Json& node) {
    const auto number = cell(node, "latency_ms");
    return number == "-" ? number : number + " ms";
}

std::string last_seen(const Json& node) {
    const bool now = cell(node, "state") == "up" && cell(node, "last_seen") != "-";
    return now ? "now" : cell_age(node, "last_seen");
}

// With what keeps one from being used there, or from elsewhere.
std::string deployers_of(const Json& node) {
    const auto list = node.find("deployers");
    if (list == node.end() || !list->is_array() || list->empty()) return "-";
    std::string text;
    for (const auto& deployer : *list) {
        std::string remarks;
        const auto remark = [&remarks](const std::string& words) {
            remarks += (remarks.empty() ? "" : "; ") + words;
        };
        if (const auto problem = cell(deployer, "problem"); !problem.empty() && problem != "-")
            remark(problem);
        else if (!json::member<bool>(deployer, "admitted"))
            remark("not for other nodes");
        if (!json::member<std::vector<std::string>>(deployer, "missing").empty())
            remark("needs " + cell(deployer, "missing"));
        text += (text.empty() ? "" : ", ") + cell(deployer, "name");
        if (!remarks.empty()) text += " (" + remarks + ")";
    }
    return text;
}

} // namespace

Table node_table(const Json& nodes) {
    Table table;
    table.header = {"NAME", "STATE",   "ROLES", "ADDRESS", "VIA",
                    "NAT",  "LATENCY", "CPUS",  "MEMORY",  "LAST SEEN"};
    for (const auto& node : nodes)
        table.rows.push_back({cell(node, "name"), cell(node, "state"), cell(node, "roles"),
                              cell(node, "ipv4") != "-" ? cell(node, "ipv4") : cell(node, "ipv6"),
                              cell(node, "via"), cell(node, "nat"), latency(node), cell(node, "cpus"),
                              cell_bytes(node, "memory_bytes"), last_seen(node)});
    return table;
}

Table one_node_table(const Json& node) {
    static constexpr std::array first{"name", "state", "roles",       "ipv4",    "ipv6",
                                      "via",  "nat",   "server_port", "ssh_port"};
    static constexpr std::array last{"version", "arch", "os", "id"};
    Table table;
    table.header = {"KEY", "VALUE"};
    for (const auto* key : first)
        table.rows.push_back({key, cell(node, key)});
    table.rows.push_back({"latency", latency(node)});
    table.rows.push_back({"cpus", cell(node, "cpus")});
    table.rows.push_back({"memory", cell_bytes(node, "memory_bytes")});
    table.rows.push_back({"free memory", cell_bytes(node, "memory_available_bytes")});
    table.rows.push_back({"free disk", cell_bytes(node, "disk_available_bytes")});
    table.rows.push_back({"gpus", cell(node, "gpus")});
    table.rows.push_back({"on battery", cell(node, "on_battery")});
    table.rows.push_back({"deployers", deployers_of(node)});
    table.rows.push_back({"labels", cell(node, "labels")});
    add_custom(table, node);
    const auto seen = last_seen(node);
    table.rows.push_back({"last seen", seen == "-" || seen == "now"
                                           ? seen
                                           : fmt::format("{} ago, {}", seen, cell(node, "last_seen"))});
    for (const auto* key : last)
        table.rows.push_back({key, cell(node, key)});
    return table;
}

Result<Json> find_node(const Json& nodes, const std::string& name) {
    std::vector<std::string> names;
    for (const auto& node : nodes) {
        if (cell(node, "name") == name) return node;
        names.push_back(cell(node, "name"));
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    const auto near = nearest(name, views);
    return fail(ErrorCode::NotFound, fmt::format("no node '{}' in this fleet", name),
                near.empty() ? "p2prc nodes lists them" : fmt::format("did you mean '{}'?", near));
}

} // namespace p2prc::cli
