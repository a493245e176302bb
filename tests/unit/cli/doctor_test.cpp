// Causes before what follows from them, and what the facts of the daemon become.
#include "cli/doctor/check.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> subjects(const Findings& findings) {
    std::vector<std::string> list;
    for (const auto& finding : findings)
        list.push_back((finding.because.empty() ? "" : "- ") + finding.subject);
    return list;
}

Finding fail(const std::string& subject, const std::string& detail = "") {
    return {CheckState::Fail, subject, detail, "mend it"};
}

TEST(Doctor, TheCauseStandsBeforeWhatFollowsFromIt) {
    const auto ordered = in_order({{CheckState::Ok, "daemon", "", ""},
                                   {CheckState::Warn, "clock", "", ""},
                                   fail("dns 203.0.113.10"),
                                   fail("port 443", "nothing listens"),
                                   fail("delegation of home.example"),
                                   fail("p2prc-edge.service", "inactive")});
    EXPECT_THAT(subjects(ordered),
                ElementsAre("p2prc-edge.service", "- dns 203.0.113.10", "- delegation of home.example",
                            "- port 443", "clock", "daemon"));
    EXPECT_EQ(ordered[1].because, "p2prc-edge.service");
    EXPECT_EQ(ordered[2].because, "dns 203.0.113.10");
}

TEST(Doctor, AProgramThatHasThePortIsWhyTheEdgeIsNotThere) {
    const auto ordered = in_order({fail("p2prc-edge.service", "failed"), fail("edge"),
                                   fail("port 443", "held by apache2"), fail("port 80", "nothing listens")});
    EXPECT_EQ(ordered[0].subject, "port 443");
    EXPECT_THAT(subjects(ordered), ElementsAre("port 443", "- p2prc-edge.service", "- edge", "- port 80"));
}

TEST(Doctor, NoFindingIsLost) {
    Findings all;
    for (const auto* subject : {"daemon", "p2prcd.service", "p2prc-edge.service", "p2prc-connector.service",
                                "port 443", "port 80", "edge", "link", "dns 1.2.3.4", "delegation of x",
                                "tunnel 1.2.3.4:443", "tunnel of home1", "node home1"})
        for (const auto* detail : {"held by apache2", "nothing listens"})
            all.push_back(fail(subject, detail));
    EXPECT_GE(in_order(all).size(), all.size());
}

TEST(Doctor, NodesAndProcessesOfEveryNode) {
    const Json facts{
        {"node", "home1"},
        {"fleet", {{"zone", "home.example"}}},
        {"problems",
         {{{"severity", "down"},
           {"subject", "node attic"},
           {"cause", "node 'attic' does not answer"},
           {"hint", "check its power"},
           {"affects", {"process blog", "domain blog.home.example"}}},
          {{"severity", "warning"}, {"subject", "disk of home1"}, {"cause", "little room"}, {"hint", ""}}}},
        {"node_list", {{{"name", "attic"}, {"state", "lost"}}, {{"name", "home1"}, {"state", "up"}}}},
        {"process_list",
         {{{"name", "blog"}, {"node", "attic"}, {"state", "lost"}},
          {{"name", "web"}, {"node", "home1"}, {"state", "running"}}}},
        {"mapped",
         {{{"domain", "blog.home.example"}, {"state", "waiting"}},
          {{"domain", "web.home.example"}, {"state", "live"}}}}};
    const auto findings = in_order(check_fleet(facts));
    EXPECT_THAT(subjects(findings),
                ElementsAre("node attic", "node home1", "process web", "domain web.home.example"));
    EXPECT_EQ(findings[0].state, CheckState::Fail);
    EXPECT_THAT(findings[0].affects, ElementsAre("process blog", "domain blog.home.example"));
    EXPECT_THAT(findings[2].detail, HasSubstr("on home1"));
}

TEST(Doctor, AMachineWithoutAFleetLacksNothing) {
    // What p2prcd says right after its installation.
    const Json facts{{"version", "1"},
                     {"node", "attic"},
                     {"root", true},
                     {"reachable", true},
                     {"fleet", Json::object()},
                     {"problems", Json::array()},
                     {"node_list", {{{"name", "attic"}, {"state", "up"}}}},
                     {"process_list", Json::array()},
                     {"mapped", Json::array()},
                     {"edge_report", Json::object()},
                     {"connector", Json::object()},
                     {"own_certificates", Json::array()}};
    std::string said;
    for (const auto check : {check_link, check_fleet, check_ports, check_dns})
        for (const auto& finding : check(facts)) {
            EXPECT_EQ(finding.state, CheckState::Ok) << finding.subject << ": " << finding.detail;
            EXPECT_EQ(finding.fix, "");
            said += finding.subject + ": " + finding.detail + "\n";
        }
    EXPECT_THAT(said, HasSubstr("fleet: none: processes run on this machine alone"));
    EXPECT_THAT(said, HasSubstr("p2prc join TOKEN"));
    EXPECT_THAT(said, HasSubstr("dns: not needed: this machine is in no fleet"));
    EXPECT_THAT(said, HasSubstr("domains: none is mapped"));
    EXPECT_THAT(said, HasSubstr("node attic: up"));
}

TEST(Doctor, AZoneThatHasNoAddressYetIsNoFailure) {
    const auto findings = check_dns({{"fleet", {{"zone", "home.example"}, {"public_ips", Json::array()}}}});
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].state, CheckState::Warn);
    EXPECT_THAT(findings[0].fix, HasSubstr("--public-ip"));
}

TEST(Doctor, AnAddressFamilyThatIsNotThereIsNoFailureBesideAnotherTunnel) {
    // 2001:db8::/32 is nobody's (RFC 3849); a machine without a route to it has no way there.
    Json facts{
        {"version", "1"},
        {"node", "home1"},
        {"connector",
         {{"edges",
           {{{"address", "203.0.113.1:443"}, {"up", true}},
            {{"address", "[2001:db8::1]:443"}, {"up", false}, {"error", "Network is unreachable"}}}}}}};
    for (const auto& finding : check_link(facts))
        EXPECT_NE(finding.state, CheckState::Fail) << finding.subject << ": " << finding.detail;
    facts["connector"]["edges"][0]["up"] = false;
    const auto none = check_link(facts);
    EXPECT_EQ(none.back().state, CheckState::Fail);
    // It has just joined.
    facts["problems"] = {{{"severity", "warning"}, {"subject", "tunnel of home1"}, {"cause", "connecting"}}};
    EXPECT_EQ(check_link(facts).back().state, CheckState::Warn);
}

TEST(Doctor, ANameServerWithoutARouteIsNoFailureBesideOneThatAnswers) {
    const auto judge = [](bool route, bool another) {
        return judge_name_server("home.example", "2001:db8::1", "Could not contact DNS servers", route,
                                 another);
    };
    EXPECT_EQ(judge(false, true).state, CheckState::Ok);
    EXPECT_THAT(judge(false, true).detail, HasSubstr("no route there from this machine"));
    EXPECT_EQ(judge(true, true).state, CheckState::Fail);
    EXPECT_EQ(judge(false, false).state, CheckState::Fail) << "no other way to ask";
    EXPECT_EQ(judge_name_server("home.example", "2001:db8::1", "", true, false).state, CheckState::Ok);
}

} // namespace
} // namespace p2prc::cli
