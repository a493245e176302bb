// status and doctor.
#include "cli/daemon.h"
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "cli/status_lines.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <future>

namespace p2prc::cli {
namespace {

Result<int> status(Context& context) {
    Daemon daemon;
    auto facts = daemon.call(&dbus::Client::status);
    if (!facts) return std::unexpected(facts.error());
    const auto problems = facts->value("problems", Json::array());
    const int exit_status = std::ranges::any_of(problems, is_down) ? 1 : 0;
    if (context.json) {
        print(*facts, status_fields());
        return exit_status;
    }
    for (const auto& line : status_lines(*facts))
        print_line(line);
    if (!problems.empty()) note("for details: p2prc doctor");
    return exit_status;
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

// What follows from another finding stands below that one, without what to do: that is said there.
void print_finding(const Finding& finding) {
    const bool follows = !finding.because.empty();
    print_line(fmt::format("{:<5} {}{}: {}", state_name(finding.state), follows ? "  - " : "",
                           finding.subject, finding.detail));
    if (!finding.affects.empty())
        print_line(fmt::format("        {}: {}",
                               finding.state == CheckState::Fail ? "down with it" : "waits for it",
                               by_kind(finding.affects)));
    if (!finding.fix.empty() && !follows) print_line("        " + finding.fix);
}

Result<int> doctor(Context& context) {
    Facts facts = Json::object();
    if (Daemon daemon; auto answer = daemon.call(&dbus::Client::facts)) facts = *answer;
    static constexpr std::array checks{check_units, check_link, check_fleet, check_ports,
                                       check_dns,   check_disk, check_clock};
    std::vector<std::future<Findings>> running;
    for (const auto check : checks)
        running.push_back(std::async(std::launch::async, check, std::cref(facts)));
    Findings findings;
    for (auto& check : running)
        for (auto& finding : check.get())
            findings.push_back(std::move(finding));
    Json rows = Json::array();
    bool failed = false;
    for (const auto& finding : in_order(std::move(findings))) {
        failed = failed || finding.state == CheckState::Fail;
        if (!context.json) print_finding(finding);
        rows.push_back({{"state", state_name(finding.state)},
                        {"subject", finding.subject},
                        {"detail", finding.detail},
                        {"fix", finding.fix},
                        {"affects", finding.affects},
                        {"because", finding.because.empty() ? Json(nullptr) : Json(finding.because)}});
    }
    if (context.json) print(rows);
    return failed ? 1 : 0;
}

} // namespace

void add_status_verbs(CLI::App& app, Action& action) {
    app.add_subcommand("status", "show nodes, processes, domains and problems on one screen")
        ->callback([&action] { action = status; });
    app.add_subcommand("doctor", "check everything end to end; show how to fix each problem")
        ->callback([&action] { action = doctor; });
}

} // namespace p2prc::cli
