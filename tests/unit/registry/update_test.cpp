// Updates and rollbacks: revisions in the record, and what their node says of them.
#include "core/records.h"
#include "tests/unit/registry/fleet.h"

#include <set>

namespace p2prc::registry::test {
namespace {

class UpdateRulesTest : public FleetTest {
  protected:
    UpdateRulesTest() { make_fleet(); }

    // What the node of process 1 reports.
    void report(const Actor& node, std::uint32_t revision, std::uint32_t good, Json update = nullptr) {
        Json status{{"id", 1},      {"name", "web"},        {"node", node.node}, {"state", "running"},
                    {"applied", 1}, {"revision", revision}, {"good", good}};
        if (!update.is_null()) status["update"] = std::move(update);
        status["applied"] = at("/processes/web")["change"];
        ok(node, "status.update", {{"set", {{"/status/" + node.node + "/1", status}}}});
    }
    static Json ended(std::uint32_t revision, std::uint32_t fallback, std::string phase) {
        return {{"revision", revision},
                {"fallback", fallback},
                {"phase", std::move(phase)},
                {"reason", {{"kind", "exit-code"}, {"code", 1}, {"log", {"no such table"}}}}};
    }
    ProcessRecord web() { return *process_from_json(at("/processes/web")); }
};

// Whoever reports it, its copy in the record of another's process has bounds.
TEST_F(UpdateRulesTest, AReasonIsShortInTheRecord) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    spin(root(), spec("web", {{"run", {{"command", {"/bin/two"}}}}}));
    auto back = ended(2, 1, "rolled-back");
    const std::string letters(5000, 'x');
    for (const auto* text : {"signal", "step", "by", "owner", "node", "detail", "at"})
        back["reason"][text] = letters;
    report(root(), 1, 1, back);
    EXPECT_EQ(at("/processes/web").dump().find(std::string(1100, 'x')), std::string::npos);
    const auto process = web();
    ASSERT_TRUE(former_revision(process, 2));
    EXPECT_TRUE(former_revision(process, 2)->reason);
}

TEST_F(UpdateRulesTest, AChangedFileIsTheNextRevision) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    const auto done = spin(root(), spec("web", {{"limits", {{"tasks", 9}}}, {"ports", {1234}}}));
    const Json tasks{{"key", "limits.tasks"}, {"from", nullptr}, {"to", "9"}},
        ports{{"key", "ports"}, {"from", nullptr}, {"to", "[1234]"}};
    EXPECT_EQ(done, (Json{{"id", 1},
                          {"name", "web"},
                          {"node", "root"},
                          {"created", false},
                          {"revision", 2},
                          {"change", 2},
                          {"restarts", true},
                          {"changes", {ports, tasks}},
                          {"deployment", 0}}));
    const auto now = web();
    EXPECT_EQ(now.revision, 2u);
    EXPECT_EQ(now.outcome, Outcome::Pending);
    EXPECT_EQ(now.revised_by, "admin@root");
    EXPECT_EQ(now.digest, spec_digest(now.spec));
    ASSERT_EQ(now.former.size(), 1u);
    EXPECT_EQ(now.former[0].number, 1u);
    EXPECT_EQ(now.former[0].outcome, Outcome::Good);
    EXPECT_TRUE(now.former[0].spec.ports.empty());
    EXPECT_EQ(now.former[0].by, "admin@root");
}

TEST_F(UpdateRulesTest, WhatNeedsNoRestartIsNoChangeOfWhatIsWanted) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    EXPECT_EQ(spin(root(), spec("web", {{"limits", {{"tasks", 9}}}}))["restarts"], false);
    EXPECT_EQ(web().change, 1u);
    // Of what is not known to be good it is one: it may not run at all.
    EXPECT_EQ(spin(root(), spec("web", {{"limits", {{"tasks", 8}}}}))["restarts"], true);
    EXPECT_EQ(web().change, 2u);
    EXPECT_EQ(web().former.back().outcome, Outcome::Superseded);
}

TEST_F(UpdateRulesTest, WhatIsStoppedStaysStopped) {
    spin(root(), spec("web"));
    ok(root(), "process.stop", {{"process", "web"}});
    spin(root(), spec("web", {{"ports", {1234}}}));
    EXPECT_EQ(web().desired, Desired::Stopped);
    EXPECT_EQ(web().revision, 2u);
}

TEST_F(UpdateRulesTest, ItIsForThoseWhoMayChangeTheProcess) {
    const auto home = add("home1", 'b');
    const auto other = add("home2", 'c');
    spin(home, spec("web"));
    const auto error = refused(other, "process.spin", {{"spec", spec("web", {{"port", 0}})}});
    EXPECT_EQ(error.code, ErrorCode::NotPermitted);
    EXPECT_THAT(error.message, HasSubstr("'home1'"));
    EXPECT_EQ(refused(other, "process.rollback", {{"process", "web"}}).code, ErrorCode::NotPermitted);
    // An owner's update is another node's word, which the home has to allow.
    EXPECT_EQ(refused(root(), "process.spin",
                      {{"spec", spec("web", {{"run", {{"command", {"/bin/x"}}, {"user", "root"}}}})}})
                  .code,
              ErrorCode::NotPermitted);
    // What keeps data is updated where it was spun.
    const auto data = refused(root(), "process.spin", {{"spec", spec("web", {{"port", 0}})}});
    EXPECT_EQ(data.code, ErrorCode::NotPermitted);
    EXPECT_THAT(data.hint, HasSubstr("run the command on home1"));
    spin(root(), spec("guest"), "home1");
    EXPECT_EQ(spin(root(), spec("guest", {{"port", 0}}))["node"], "home1");
}

TEST_F(UpdateRulesTest, WhatIsStartedFirstHasAPortOfItsOwn) {
    const auto with = [](std::string command, Json more = Json::object()) {
        Json document{{"port", 0},
                      {"domain", "a.home.example"},
                      {"run", {{"command", {std::move(command)}}, {"data", false}}},
                      {"update", {{"order", "start-first"}}}};
        document.update(more);
        return spec("web", document);
    };
    spin(root(), with("/bin/one"));
    const auto first = *web().port;
    report(root(), 1, 1);
    spin(root(), with("/bin/two"));
    const auto second = *web().port;
    EXPECT_NE(second, first);
    EXPECT_EQ(web().former[0].port, first);
    EXPECT_EQ(at("/domains/a.home.example")["port"], second);
    // Both are its own, also while what was there before still ends its connections.
    report(root(), 2, 2, ended(2, 1, "good"));
    for (int i = 0; i < 2; ++i) {
        const auto other = spec(i == 0 ? "other" : "further", {{"port", i == 0 ? first : second}});
        EXPECT_EQ(refused(root(), "process.spin", {{"spec", other}}).code, ErrorCode::PortTaken);
    }
    spin(root(), with("/bin/three"));
    EXPECT_NE(*web().port, first);
    EXPECT_NE(*web().port, second);
    // What was not kept takes its port with it.
    report(root(), 2, 2, ended(3, 2, "rolled-back"));
    EXPECT_EQ(*web().port, second);
    EXPECT_EQ(at("/domains/a.home.example")["port"], second);
    // Nothing is started for that.
    EXPECT_EQ(spin(root(), with("/bin/two", {{"limits", {{"tasks", 9}}}}))["restarts"], false);
    EXPECT_EQ(*web().port, second);
}

TEST_F(UpdateRulesTest, APortThatHasNotWorkedIsNotChosenAgain) {
    const auto document = spec("web", {{"port", 0},
                                       {"run", {{"command", {"/bin/x"}}, {"data", false}}},
                                       {"deploy", {{"strategy", "script"}}},
                                       {"update", {{"order", "start-first"}}}});
    spin(root(), document);
    report(root(), 1, 1);
    const auto first = *web().port;
    const auto again = [&](Json more = Json::object()) {
        more["process"] = "web";
        ok(root(), "process.redeploy", more);
        return *web().port;
    };
    const auto second = again();
    report(root(), 1, 1, ended(2, 1, "rolled-back"));
    EXPECT_EQ(*web().port, first);
    const auto third = again();
    report(root(), 1, 1, ended(3, 1, "failed"));
    const auto fourth = again();
    EXPECT_EQ((std::set{first, second, third, fourth}).size(), 4U);
    report(root(), 4, 4, ended(4, 1, "good"));
    // Where it runs it is known what others listen on.
    const Json others = std::set<unsigned>{fourth + 1U, fourth + 2U};
    ok(root(), "process.rollback", {{"process", "web"}, {"revision", 1}, {"ports_in_use", others}});
    EXPECT_EQ(*web().port, fourth + 3U);
    report(root(), 5, 5, ended(5, 4, "good"));
    EXPECT_EQ(again({{"ports_in_use", others}}), first) << "which nothing has now";
}

// Who asks elsewhere does not know; the node has said it.
TEST_F(UpdateRulesTest, NoPortIsChosenThatItsNodeReportsAsInUse) {
    spin(root(), spec("web", {{"port", 0}}));
    const auto first = *web().port;
    ok(root(), "process.kill", {{"process", "web"}});
    ok(root(), "status.put", {{"items", {{"/info/root", {{"ports_in_use", {first, "x", -1, first + 1U}}}}}}});
    spin(root(), spec("web", {{"port", 0}}));
    EXPECT_EQ(*process_from_json(at("/processes/web"))->port, first + 2U);
}

TEST_F(UpdateRulesTest, PortAndDomainGoWithTheRevision) {
    spin(root(), spec("web", {{"port", 0}, {"domain", "a.home.example"}}));
    const auto port = *web().port;
    report(root(), 1, 1);
    spin(root(), spec("web", {{"port", 0}, {"domain", "b.home.example"}}));
    EXPECT_EQ(*web().port, port) << "one that was chosen stays";
    EXPECT_EQ(at("/domains/b.home.example")["port"], port);
    EXPECT_EQ(at("/domains/a.home.example")["port"], port) << "it may go back to it";
    report(root(), 2, 2, ended(2, 1, "good"));
    EXPECT_TRUE(at("/domains/a.home.example").is_null());
    spin(root(), spec("web", {{"port", 1234}, {"domain", "b.home.example"}}));
    EXPECT_EQ(at("/domains/b.home.example")["port"], 1234);
    report(root(), 2, 2, ended(3, 2, "rolled-back"));
    EXPECT_EQ(web().revision, 2u);
    EXPECT_EQ(at("/domains/b.home.example")["port"], port);
}

// Nobody else gets it meanwhile.
TEST_F(UpdateRulesTest, WhatItMayGoBackToIsKept) {
    spin(root(), spec("web", {{"port", 1234}, {"ports", {1235}}, {"domain", "a.home.example"}}));
    report(root(), 1, 1);
    spin(root(), spec("web", {{"port", 2345}, {"domain", "b.home.example"}}));
    const auto taken = [this](Json more) {
        return refused(root(), "process.spin", {{"spec", spec("other", std::move(more))}}).code;
    };
    EXPECT_EQ(taken({{"port", 1234}}), ErrorCode::PortTaken);
    EXPECT_EQ(taken({{"ports", {1235}}}), ErrorCode::PortTaken);
    EXPECT_EQ(taken({{"port", 0}, {"domain", "a.home.example"}}), ErrorCode::DomainTaken);
    // Another one that is tried instead keeps the same.
    spin(root(), spec("web", {{"port", 3456}, {"domain", "c.home.example"}}));
    EXPECT_TRUE(at("/domains/b.home.example").is_null());
    EXPECT_EQ(taken({{"port", 1234}}), ErrorCode::PortTaken);
    report(root(), 1, 1, ended(3, 1, "rolled-back"));
    EXPECT_EQ(at("/domains/a.home.example")["port"], 1234);
    EXPECT_TRUE(at("/domains/c.home.example").is_null());
    spin(root(), spec("web", {{"port", 2345}, {"domain", "b.home.example"}}));
    report(root(), 4, 4, ended(4, 1, "good"));
    spin(root(), spec("other", {{"port", 1234}, {"ports", {1235}}, {"domain", "a.home.example"}}));
}

TEST_F(UpdateRulesTest, TheNodeSaysWhatCameOfIt) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    spin(root(), spec("web", {{"ports", {1234}}}));
    report(root(), 2, 1, ended(2, 1, "confirming"));
    EXPECT_EQ(web().outcome, Outcome::Pending) << "it is under way";
    report(root(), 2, 1, ended(3, 1, "rolled-back"));
    EXPECT_EQ(web().revision, 2u) << "of another revision";
    report(root(), 1, 1, ended(2, 1, "rolled-back"));
    const auto change = web().change;
    EXPECT_EQ(web().revision, 1u);
    EXPECT_EQ(web().outcome, Outcome::Good);
    ASSERT_EQ(web().former.size(), 1u);
    EXPECT_EQ(web().former[0].outcome, Outcome::RolledBack);
    ASSERT_TRUE(web().former[0].reason);
    EXPECT_EQ(web().former[0].reason->kind, StopKind::ExitCode);
    EXPECT_TRUE(web().former[0].reason->log.empty());
    report(root(), 1, 1, ended(2, 1, "rolled-back"));
    EXPECT_EQ(web().change, change) << "nothing is asked of the node anew";
    // Its number is not used again.
    EXPECT_EQ(spin(root(), spec("web", {{"ports", {1235}}}))["revision"], 3);
    EXPECT_EQ(web().former.back().number, 2u);
}

TEST_F(UpdateRulesTest, ARollbackIsTheNextRevision) {
    spin(root(), spec("web"));
    EXPECT_EQ(refused(root(), "process.rollback", {{"process", "web"}}).code, ErrorCode::NotFound);
    report(root(), 1, 1);
    spin(root(), spec("web", {{"ports", {1234}}}));
    report(root(), 2, 2, ended(2, 1, "good"));
    const auto done = ok(root(), "process.rollback", {{"process", "web"}});
    EXPECT_EQ(done["revision"], 3);
    EXPECT_TRUE(web().spec.ports.empty());
    EXPECT_EQ(web().former.back().outcome, Outcome::Good);
    EXPECT_EQ(ok(root(), "process.rollback", {{"process", "web"}, {"revision", 2}})["revision"], 4);
    EXPECT_EQ(web().spec.ports, std::vector<std::uint16_t>{1234});
    const auto unknown = refused(root(), "process.rollback", {{"process", "web"}, {"revision", 9}});
    EXPECT_EQ(unknown.code, ErrorCode::NotFound);
    EXPECT_THAT(unknown.hint, HasSubstr("1 (good), 2 (good), 3 (superseded)"));
    EXPECT_EQ(refused(root(), "process.rollback", {{"process", "web"}, {"revision", 4}}).code,
              ErrorCode::InvalidSpec);
}

TEST_F(UpdateRulesTest, ItIsDeployedAnewAsItsNextRevision) {
    const auto document = spec("web", {{"deploy", {{"strategy", "script"}}}});
    spin(root(), document);
    report(root(), 1, 1);
    const auto done = ok(root(), "process.redeploy", {{"process", "web"}});
    EXPECT_EQ(done["revision"], 2);
    EXPECT_EQ(done["restarts"], true);
    EXPECT_EQ(done["changes"], Json::array());
    EXPECT_EQ(web().deployment, 2u);
    EXPECT_EQ(web().change, 2u);
    EXPECT_EQ(web().former[0].deployment, 0u);
    EXPECT_EQ(web().digest, web().former[0].digest);
    EXPECT_EQ(spin(root(), document)["created"], false);
    EXPECT_EQ(web().revision, 2u) << "the same file";
    report(root(), 2, 2, ended(2, 1, "good"));
    // A change of something else is no reason to deploy it once more.
    auto tasks = document;
    tasks["limits"]["tasks"] = 9;
    EXPECT_EQ(spin(root(), tasks)["restarts"], false);
    EXPECT_EQ(web().deployment, 2u);
    // Back to what was there before.
    EXPECT_EQ(ok(root(), "process.rollback", {{"process", "web"}, {"revision", 1}})["restarts"], true);
    EXPECT_EQ(web().deployment, 0u);
    ok(root(), "process.redeploy", {{"process", "web"}});
    EXPECT_EQ(web().deployment, 5u);
    EXPECT_EQ(process_from_json(to_json(web()))->former.back().deployment, web().former.back().deployment);
}

TEST_F(UpdateRulesTest, WithoutADeployerNothingIsDeployedAnew) {
    spin(root(), spec("web"));
    const auto error = refused(root(), "process.redeploy", {{"process", "web"}});
    EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(error.message, HasSubstr("has no deployer"));
    const auto home = add("home1", 'b');
    EXPECT_EQ(refused(home, "process.redeploy", {{"process", "nowhere"}}).code, ErrorCode::NotFound);
    ok(root(), "process.kill", {{"process", "web"}});
    spin(root(), spec("web", {{"deploy", {{"strategy", "script"}}}}));
    EXPECT_EQ(refused(home, "process.redeploy", {{"process", "web"}}).code, ErrorCode::NotPermitted);
}

TEST_F(UpdateRulesTest, TheLastGoodOneIsKeptWhateverComes) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    for (int i = 0; i < 30; ++i)
        spin(root(), spec("web", {{"run", {{"command", {"/bin/x", std::string(9000, char('a' + i))}}}}}));
    EXPECT_EQ(web().revision, 31u);
    EXPECT_LE(web().former.size(), most_former_revisions + 1);
    EXPECT_EQ(web().former.front().number, 1u);
    EXPECT_LT(at("/processes/web").dump().size(), 2 * longest_former_revisions);
}

TEST_F(UpdateRulesTest, ARestoredRegistryGivesNoNumberTwice) {
    spin(root(), spec("web"));
    report(root(), 5, 5);
    EXPECT_EQ(spin(root(), spec("web", {{"port", 0}}))["revision"], 6);
    report(root(), 5, 5, ended(9, 5, "rolled-back"));
    EXPECT_EQ(spin(root(), spec("web", {{"port", 1234}}))["revision"], 10)
        << "nor that of one that was not kept";
}

TEST_F(UpdateRulesTest, WhatHasEndedIsTriedWithItsNextRevision) {
    spin(root(), spec("web"));
    Json status{{"id", 1},      {"name", "web"}, {"node", "root"}, {"state", "failed"},
                {"applied", 1}, {"revision", 1}, {"good", 1}};
    ok(root(), "status.update", {{"set", {{"/status/root/1", status}}}});
    EXPECT_EQ(spin(root(), spec("web", {{"limits", {{"tasks", 9}}}}))["restarts"], true);
    EXPECT_EQ(web().change, 2u);
}

TEST_F(UpdateRulesTest, ARollbackNamesItsRevisionAndWhatCameOfTheDataIsKept) {
    spin(root(), spec("web"));
    report(root(), 1, 1);
    spin(root(), spec("web", {{"ports", {1234}}, {"update", {{"snapshot", true}}}}));
    EXPECT_EQ(web().rollback_of, 0u);
    auto good = ended(2, 1, "good");
    good["data"] = "copied";
    report(root(), 2, 2, good);
    EXPECT_EQ(web().revision_data, "copied");
    ok(root(), "process.rollback", {{"process", "web"}, {"revision", 1}});
    EXPECT_EQ(web().revision, 3u);
    EXPECT_EQ(web().rollback_of, 1u);
    EXPECT_EQ(web().revision_data, "");
    ASSERT_TRUE(former_revision(web(), 2));
    const auto process = web();
    EXPECT_EQ(former_revision(process, 2)->data, "copied");
    EXPECT_EQ(former_revision(process, 2)->rollback_of, 0u);
    // What is not kept has gone back to the one before.
    auto back = ended(3, 2, "rolled-back");
    back["data"] = "put back";
    report(root(), 2, 2, back);
    EXPECT_EQ(web().revision, 2u);
    const auto after = web();
    EXPECT_EQ(former_revision(after, 3)->rollback_of, 1u);
    EXPECT_EQ(former_revision(after, 3)->data, "put back");
    EXPECT_EQ(after.revision_data, "copied");
}

} // namespace
} // namespace p2prc::registry::test
