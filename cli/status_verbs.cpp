// status and doctor.
#include "cli/daemon.h"
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <array>
#include <future>

namespace p2prc::cli {
namespace {

// {"running": 2, "failed": 1} -> "3: 1 failed, 2 running"
std::string counts(const Json& by_state) {
    std::uint64_t all = 0;
    std::vector<std::string> parts;
    for (const auto& [state, number] : by_state.items()) {
        all += number.get<std::uint64_t>();
        parts.push_back(fmt::format("{} {}", number.get<std::uint64_t>(), state));
    }
    return all == 0 ? "none" : fmt::format("{}: {}", all, fmt::join(parts, ", "));
}

Result<int> status(Context& context) {
    Daemon daemon;
    auto facts = daemon.call(&dbus::Client::status);
    if (!facts) return std::unexpected(facts.error());
    if (context.json) {
        print(*facts);
        return 0;
    }
    const auto fleet = facts->value("fleet", Json::object());
    const bool root = facts->value("root", false);
    const bool in_fleet = cell(fleet, "zone") != "-";
    fmt::print("node      {} ({})\n", cell(*facts, "node"), !in_fleet ? "alone" : root ? "root" : "member");
    fmt::print("fleet     {}\n", in_fleet ? cell(fleet, "zone") : "none; p2prc init or p2prc join");
    if (in_fleet && !root)
        fmt::print("root      {}, {}\n", cell(fleet, "root"),
                   facts->value("reachable", false) ? "reachable" : "not reachable");
    for (const auto* what : {"nodes", "processes", "domains"})
        fmt::print("{:<9} {}\n", what, counts(facts->value(what, Json::object())));
    const auto problems = facts->value("problems", Json::array());
    for (const auto& problem : problems)
        fmt::print("wrong     {} ({})\n", cell(problem, "what"), cell(problem, "hint"));
    if (!problems.empty()) note("p2prc doctor says more");
    return 0;
}

std::string_view state_name(CheckState state) {
    switch (state) {
    case CheckState::Ok:
        return "ok";
    case CheckState::Warn:
        return "warn";
    case CheckState::Fail:
        return "fail";
    }
    return "fail";
}

Result<int> doctor(Context& context) {
    Facts facts = Json::object();
    if (Daemon daemon; auto answer = daemon.call(&dbus::Client::facts)) facts = *answer;
    static constexpr std::array checks{check_link,  check_dns,  check_ports, check_domains,
                                       check_units, check_disk, check_clock};
    std::vector<std::future<Findings>> running;
    for (const auto check : checks)
        running.push_back(std::async(std::launch::async, check, std::cref(facts)));
    bool failed = false;
    Json rows = Json::array();
    Table table;
    table.header = {"STATE", "WHAT", "FOUND", "FIX"};
    for (auto& check : running) {
        for (const auto& finding : check.get()) {
            failed = failed || finding.state == CheckState::Fail;
            rows.push_back({{"state", state_name(finding.state)},
                            {"subject", finding.subject},
                            {"detail", finding.detail},
                            {"fix", finding.fix}});
            table.rows.push_back(
                {std::string(state_name(finding.state)), finding.subject, finding.detail, finding.fix});
        }
    }
    if (context.json)
        print(rows);
    else
        print(table);
    return failed ? 1 : 0;
}

} // namespace

void add_status_verbs(CLI::App& app, Action& action) {
    app.add_subcommand("status", "one screen: node, fleet, processes, domains, what is wrong")
        ->callback([&action] { action = status; });
    app.add_subcommand("doctor", "checks everything end to end; each finding with its fix")
        ->callback([&action] { action = doctor; });
}

} // namespace p2prc::cli
