// owners, owner limit.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "core/counted.h"
#include "core/fields.h"
#include "core/json_members.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <thread>

namespace p2prc::cli {
namespace {

// Between the two looks that tell how much of the processors is used.
constexpr std::chrono::milliseconds look_interval{500};

// Adds `cpu_percent`, from one look to the next.
void add_rates(const Json& before, Json& rows) {
    std::map<std::string, const Json*> former;
    for (const auto& row : before)
        former.emplace(json::member<std::string>(row, "slice"), &row);
    for (auto& row : rows) {
        row["cpu_percent"] = nullptr;
        const auto known = former.find(json::member<std::string>(row, "slice"));
        if (known == former.end()) continue;
        const auto rise = [&](const char* key) -> std::optional<double> {
            const auto from = json::optional_member<std::uint64_t>(*known->second, key);
            const auto to = json::optional_member<std::uint64_t>(row, key);
            // It begins anew with each run of a process.
            return from && to && *to >= *from ? std::optional(static_cast<double>(*to - *from))
                                              : std::nullopt;
        };
        const auto used = rise("cpu_usec"), passed = rise("measured_usec");
        if (used && passed && *passed > 0) row["cpu_percent"] = std::round(*used * 1000 / *passed) / 10;
    }
}

// "3 of 32"; without a limit: "3".
std::string of_limit(std::string used, const std::string& limit, std::string_view unit = "") {
    if (used != "-") used += unit;
    return limit == "-" ? used : fmt::format("{} of {}{}", used, limit, unit);
}

Table owner_table(const Json& rows) {
    Table table{.header = {"OWNER", "RUNNING", "PAUSED", "CPU", "MEMORY", "TASKS", "STATE"}, .rows = {}};
    for (const auto& row : rows) {
        const auto processes = json::member<std::vector<std::string>>(row, "processes");
        const auto paused = cell(row, "paused_by");
        table.rows.push_back(
            {cell(row, "owner"), fmt::format("{} of {}", cell(row, "running"), processes.size()),
             cell(row, "paused"), of_limit(cell(row, "cpu_percent"), cell(row, "cpu_limit_percent"), "%"),
             of_limit(cell_bytes(row, "memory_bytes"), cell_bytes(row, "memory_limit_bytes")),
             of_limit(cell(row, "tasks"), cell(row, "tasks_limit")),
             paused != "-"                    ? fmt::format("paused by {}", paused)
             : json::member<bool>(row, "own") ? "this machine"
                                              : "-"});
    }
    return table;
}

Result<int> owners(Context& context) {
    Daemon daemon;
    const auto before = daemon.call(&dbus::Client::owners);
    if (!before) return std::unexpected(before.error());
    std::this_thread::sleep_for(look_interval);
    auto rows = daemon.call(&dbus::Client::owners);
    if (!rows) return std::unexpected(rows.error());
    add_rates(*before, *rows);
    if (context.json)
        print(*rows, owner_fields());
    else
        print(owner_table(*rows));
    return 0;
}

struct Limits {
    std::string node, memory, cpu, tasks;
};

Result<int> limit(const Limits& given, Context& context) {
    Json options = Json::object();
    if (!given.memory.empty()) options["memory"] = given.memory;
    if (!given.cpu.empty()) options["cpu"] = given.cpu;
    if (!given.tasks.empty()) options["tasks"] = given.tasks;
    if (options.empty())
        return report_usage(
            "p2prc owner limit needs --memory, --cpu or --tasks",
            fmt::format("p2prc owner limit {} --memory 2G; none takes a limit away", given.node), context);
    Daemon daemon;
    const auto row = daemon.call(&dbus::Client::limit_owner, given.node, options);
    if (!row) return std::unexpected(row.error());
    if (context.json) {
        print(*row, owner_fields());
        return 0;
    }
    const auto memory = cell_bytes(*row, "memory_limit_bytes"), cpu = cell(*row, "cpu_limit_percent");
    std::string limits;
    const auto add = [&limits](const std::string& value, std::string_view what) {
        if (value != "-") limits += fmt::format("{}{}{}", limits.empty() ? "" : ", ", value, what);
    };
    add(memory, " of memory");
    add(cpu, "% of a processor");
    if (const auto tasks = json::optional_member<std::uint64_t>(*row, "tasks_limit"))
        add(counted(*tasks, "task", "tasks"), "");
    note(limits.empty()
             ? fmt::format("what '{}' has spun here has no limits any more", given.node)
             : fmt::format("what '{}' has spun here may use, all together: {}", given.node, limits));
    for (const auto& text : json::member<std::vector<std::string>>(*row, "notes"))
        note(fmt::format("note: {}", text));
    return 0;
}

} // namespace

void add_owner_verbs(CLI::App& app, Action& action) {
    app.add_subcommand("owners", "list who runs what on this machine, and what it uses")->callback([&action] {
        action = owners;
    });
    auto* owner = app.add_subcommand("owner", "limit what another node may use of this machine");
    owner->require_subcommand(1);
    auto* verb = owner->add_subcommand("limit", "limit all that a node has spun here, and will spin");
    auto given = std::make_shared<Limits>();
    verb->add_option("NODE", given->node, "the node")->required();
    verb->add_option("--memory", given->memory, "the most memory: 512M, 2G, or none")->type_name("SIZE");
    verb->add_option("--cpu", given->cpu,
                     "the most processor time: 150% is one and a half processors, or none")
        ->type_name("PERCENT");
    verb->add_option("--tasks", given->tasks, "the most threads and processes, or none")->type_name("COUNT");
    verb->callback([&action, given] { action = [given](Context& c) { return limit(*given, c); }; });
}

} // namespace p2prc::cli
