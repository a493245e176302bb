// What the daemon itself knows: the link to the root, the tunnel, and all nodes, processes and domains.
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "core/counted.h"
#include "net/address.h"
#include "net/clock.h"
#include "net/dial.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

// What the problems say already, as a cause or as what follows from one.
std::set<std::string> told(const Facts& facts) {
    std::set<std::string> subjects;
    for (const auto& problem : facts.value("problems", Json::array())) {
        subjects.insert(cell(problem, "subject"));
        for (const auto& affected : problem.value("affects", std::vector<std::string>{}))
            subjects.insert(affected);
    }
    return subjects;
}

// A row for each of `list` that nothing is wrong with.
void add_sound(const Json& list, const char* kind, const char* name, const std::set<std::string>& wrong,
               Findings& findings) {
    for (const auto& one : list) {
        const auto subject = fmt::format("{} {}", kind, cell(one, name));
        if (wrong.contains(subject)) continue;
        // That the root does not answer is the link's finding.
        if (std::string_view(kind) == "node" && cell(one, "state") != "up") continue;
        const auto on = std::string_view(kind) == "process" ? " on " + cell(one, "node") : std::string();
        findings.push_back({CheckState::Ok, subject, cell(one, "state") + on, ""});
    }
}

// Of a certificate that this node has. One that fails while there is none yet fails its domain, which is said
// there.
Finding check_certificate(const Json& certificate) {
    Finding finding{CheckState::Ok, "certificate " + cell(certificate, "domain"),
                    certificate_state_words(cell(certificate, "state")), ""};
    const auto end = net::from_rfc3339(cell(certificate, "not_after"));
    if (!end) return finding;
    const auto left = *end - std::chrono::system_clock::now();
    finding.detail += ", until " + cell(certificate, "not_after");
    if (left < std::chrono::seconds(0))
        finding.state = CheckState::Fail;
    else if (left < std::chrono::weeks(1) || cell(certificate, "detail") != "-")
        finding.state = CheckState::Warn;
    if (finding.state == CheckState::Ok) return finding;
    if (cell(certificate, "detail") != "-") finding.detail += "; not renewed: " + cell(certificate, "detail");
    finding.fix = "systemctl restart p2prc-connector; journalctl -u p2prc-connector -u 'p2prcd-acme-*'";
    return finding;
}

bool has_route(const std::string& endpoint) {
    const auto parsed = net::Endpoint::parse(endpoint);
    return !parsed || net::has_route(*parsed);
}

// Whether link or tunnel have just begun to be made: p2prcd says so as a note.
bool is_connecting(const Facts& facts) {
    const auto tunnel = "tunnel of " + cell(facts, "node");
    return std::ranges::any_of(facts.value("problems", Json::array()), [&](const Json& problem) {
        const auto subject = cell(problem, "subject");
        return (subject == "link" || subject == tunnel) && problem.value("severity", "down") != "down";
    });
}

// The connector's sessions with the edge. One is enough; an address family that this home does not have is
// nothing to fix.
void check_tunnels(const Facts& facts, Findings& findings) {
    const auto edges = facts.value("connector", Json::object()).value("edges", Json::array());
    const bool any = std::ranges::any_of(edges, [](const Json& edge) { return edge.value("up", false); });
    for (const auto& edge : edges) {
        const auto subject = "tunnel " + cell(edge, "address");
        if (edge.value("up", false))
            findings.push_back({CheckState::Ok, subject, "up", ""});
        else if (any && !has_route(cell(edge, "address")))
            findings.push_back(
                {CheckState::Ok, subject, "no route there from this machine; another tunnel is up", ""});
        else
            findings.push_back({any || is_connecting(facts) ? CheckState::Warn : CheckState::Fail,
                                subject,
                                "not up: " + cell(edge, "error"),
                                "journalctl -u p2prc-connector; on the root: systemctl status p2prc-edge",
                                {},
                                "tunnel of " + cell(facts, "node")});
    }
}

// What the edge leaves out of the table that it is to serve. That it serves an older one is one of the
// problems.
void check_edge(const Facts& facts, Findings& findings) {
    const auto edge = facts.value("edge_report", Json::object());
    const auto routes = facts.value("routes", Json::object());
    if (!edge.is_object()) return;
    for (const auto& each : edge.value("rejected", Json::array()))
        findings.push_back(
            {CheckState::Warn, "edge",
             fmt::format("'{}' is not served: {}", cell(each, "name"), cell(each, "reason")),
             "unmap the domain: p2prc unmap-domain DOMAIN; journalctl -u p2prc-edge lists all"});
    if (const auto left_out = routes.value("left_out", std::uint64_t{0}); left_out != 0)
        findings.push_back(
            {CheckState::Warn, "edge",
             counted(left_out, "name or record does", "names and records do") + " not fit into its table",
             "unmap domains that are not in use: p2prc domains lists them"});
}

} // namespace

bool in_fleet(const Facts& facts) {
    return cell(facts.value("fleet", Json::object()), "zone") != "-";
}

bool is_public_root(const Facts& facts) {
    return facts.value("root", false) && in_fleet(facts);
}

Findings check_link(const Facts& facts) {
    if (facts.empty())
        return {{CheckState::Fail, "daemon", "p2prcd does not answer",
                 "systemctl start p2prcd; journalctl -u p2prcd"}};
    Findings findings{{CheckState::Ok, "daemon",
                       "p2prcd " + cell(facts, "version") + " on '" + cell(facts, "node") + "'", ""}};
    // If it does not, that is one of the problems.
    if (in_fleet(facts) && !is_public_root(facts) && facts.value("reachable", false))
        findings.push_back({CheckState::Ok, "link", "the root answers", ""});
    check_tunnels(facts, findings);
    check_edge(facts, findings);
    return findings;
}

Finding unknown(const char* subject) {
    return {CheckState::Warn, subject, "skipped: p2prcd does not answer", "sudo systemctl start p2prcd"};
}

Findings check_fleet(const Facts& facts) {
    if (facts.empty()) return {unknown("fleet"), unknown("domains")};
    Findings findings;
    // These are looked at from outside the daemon, too, and named there by what is found.
    const auto here = " of " + cell(facts, "node");
    const auto checked_here = [&](const std::string& subject) {
        return subject.ends_with(here) && (subject.starts_with("disk") || subject.starts_with("port "));
    };
    for (const auto& problem : facts.value("problems", Json::array())) {
        const auto subject = cell(problem, "subject");
        if (checked_here(subject)) continue;
        findings.push_back({problem.value("severity", "down") == "down" ? CheckState::Fail : CheckState::Warn,
                            subject, cell(problem, "cause"), cell(problem, "hint"),
                            problem.value("affects", std::vector<std::string>{})});
    }
    // Nothing that a fleet or a domain is needed for is missing.
    if (!in_fleet(facts))
        findings.push_back(
            {CheckState::Ok, "fleet",
             "none: processes run on this machine alone, and no domain leads to them; to change "
             "that: p2prc join TOKEN, or on a machine with a public address p2prc init --domain "
             "ZONE --public-ip IP",
             ""});
    const auto wrong = told(facts);
    add_sound(facts.value("node_list", Json::array()), "node", "name", wrong, findings);
    add_sound(facts.value("process_list", Json::array()), "process", "name", wrong, findings);
    const auto mapped = facts.value("mapped", Json::array());
    add_sound(mapped, "domain", "domain", wrong, findings);
    if (mapped.empty()) findings.push_back({CheckState::Ok, "domains", "none is mapped", ""});
    for (const auto& certificate : facts.value("own_certificates", Json::array()))
        if (!wrong.contains("certificate of " + cell(certificate, "domain")))
            findings.push_back(check_certificate(certificate));
    return findings;
}

} // namespace p2prc::cli
