// What the daemon itself knows: the link to the root, the tunnel, and the mapped domains.
#include "cli/doctor/check.h"
#include "cli/output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ctime>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

constexpr std::time_t week = 7 * 86400;

// Seconds from now to an RFC 3339 time; nothing when it cannot be read.
std::optional<std::time_t> seconds_until(const std::string& text) {
    std::tm parts{};
    if (!strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts)) return std::nullopt;
    return timegm(&parts) - std::time(nullptr);
}

Finding check_domain(const Json& domain) {
    Finding finding{CheckState::Ok, "domain " + cell(domain, "domain"), cell(domain, "state"), ""};
    const auto state = cell(domain, "state");
    if (cell(domain, "reason") != "-") finding.detail += ": " + cell(domain, "reason");
    const auto on = cell(domain, "node") == "-" ? std::string() : fmt::format(" on {}", cell(domain, "node"));
    if (state == "failed") {
        finding.state = CheckState::Fail;
        finding.fix = fmt::format("p2prc info {}; journalctl -u p2prc-connector -u 'p2prcd-acme-*'{}",
                                  cell(domain, "process"), on);
    } else if (state == "waiting") {
        finding.state = CheckState::Warn;
        finding.fix = on.empty() ? fmt::format("spin '{}', or give the name up: p2prc unmap-domain {}",
                                               cell(domain, "process"), cell(domain, "domain"))
                                 : fmt::format("p2prc info {}; p2prc doctor{}", cell(domain, "process"), on);
    }
    return finding;
}

// Of a certificate that this node has. One that fails while there is none yet fails its domain, which is said
// there.
Finding check_certificate(const Json& certificate) {
    Finding finding{CheckState::Ok, "certificate " + cell(certificate, "domain"), cell(certificate, "state"),
                    ""};
    const auto left = seconds_until(cell(certificate, "not_after"));
    if (!left) return finding;
    finding.detail += ", until " + cell(certificate, "not_after");
    if (*left < 0)
        finding.state = CheckState::Fail;
    else if (*left < week || cell(certificate, "detail") != "-")
        finding.state = CheckState::Warn;
    if (finding.state == CheckState::Ok) return finding;
    if (cell(certificate, "detail") != "-") finding.detail += "; not renewed: " + cell(certificate, "detail");
    finding.fix = "systemctl restart p2prc-connector; journalctl -u p2prc-connector -u 'p2prcd-acme-*'";
    return finding;
}

// The connector's sessions with the edge.
void check_tunnels(const Facts& facts, Findings& findings) {
    const auto connector = facts.value("connector", Json::object());
    for (const auto& edge : connector.value("edges", Json::array())) {
        const auto subject = "tunnel " + cell(edge, "address");
        if (edge.value("up", false))
            findings.push_back({CheckState::Ok, subject, "up", ""});
        else
            findings.push_back({CheckState::Fail, subject, "not up: " + cell(edge, "error"),
                                "journalctl -u p2prc-connector; on the root: systemctl status p2prc-edge"});
    }
}

// What the edge serves of the table that it is to serve.
void check_edge(const Facts& facts, Findings& findings) {
    const auto edge = facts.value("edge", Json::object());
    const auto routes = facts.value("routes", Json::object());
    if (!edge.is_object() || !edge.contains("revision")) return;
    const auto served = edge["revision"], wanted = routes.value("revision", served);
    if (served.is_number() && wanted.is_number() && served < wanted)
        findings.push_back({CheckState::Warn, "edge",
                            fmt::format("serves the names as of revision {}, and the fleet is at {}",
                                        cell(edge, "revision"), cell(routes, "revision")),
                            "journalctl -u p2prc-edge; systemctl restart p2prc-edge"});
    for (const auto& each : edge.value("rejected", Json::array()))
        findings.push_back(
            {CheckState::Warn, "edge",
             fmt::format("'{}' is not served: {}", cell(each, "name"), cell(each, "reason")),
             "unmap the domain: p2prc unmap-domain DOMAIN; journalctl -u p2prc-edge lists all"});
    if (const auto left_out = routes.value("left_out", std::uint64_t{0}); left_out != 0)
        findings.push_back({CheckState::Warn, "edge",
                            fmt::format("{} names and records are more than it can be told", left_out),
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
    if (in_fleet(facts) && !is_public_root(facts)) {
        if (facts.value("reachable", false))
            findings.push_back({CheckState::Ok, "link", "the root answers", ""});
        else
            findings.push_back(
                {CheckState::Fail, "link", cell(facts, "link_error"), cell(facts, "link_hint")});
    }
    check_tunnels(facts, findings);
    check_edge(facts, findings);
    return findings;
}

Finding unknown(const char* subject) {
    return {CheckState::Warn, subject, "not looked at: p2prcd does not say what to expect",
            "start p2prcd first"};
}

Findings check_domains(const Facts& facts) {
    if (facts.empty()) return {unknown("domains")};
    Findings findings;
    for (const auto& domain : facts.value("mapped", Json::array()))
        findings.push_back(check_domain(domain));
    for (const auto& certificate : facts.value("certificates", Json::array()))
        findings.push_back(check_certificate(certificate));
    if (findings.empty()) findings.push_back({CheckState::Ok, "domains", "none is mapped", ""});
    return findings;
}

} // namespace p2prc::cli
