// Moves that a process's remedy asks for.
#include "core/deployer_report.h"
#include "core/process_status.h"
#include "tests/unit/registry/fleet.h"

#include <set>

namespace p2prc::registry::test {
namespace {

class RemedyRulesTest : public FleetTest {
  protected:
    RemedyRulesTest() {
        make_fleet();
        for (const char key : {'b', 'c', 'd'}) {
            nodes_.push_back(add(std::string("home") + key, key));
            up(nodes_.back());
        }
        up(root());
    }
    void up(const Actor& node) {
        ok(node, "status.update",
           {{"set", {{"/info/" + node.node, {{"name", node.node}, {"remote_spin", "sandboxed"}}}}}});
        ok(root(), "node.live", {{"node", node.node}, {"state", "up"}});
    }
    Actor actor(const std::string& name) {
        for (const auto& node : nodes_)
            if (node.node == name) return node;
        return root();
    }
    static Json movable(Json more = Json::object()) {
        auto document = spec("web", std::move(more));
        document["run"]["data"] = false;
        document["remedy"] = {{{"reason", "exit-code"}, {"action", "move"}}};
        return document;
    }
    ProcessRecord web() { return *process_from_json(at("/processes/web")); }
    // Its node says that it has failed, and asks for a move.
    void fails(const std::string& by = "", Json reason = {{"kind", "exit-code"}, {"code", 3}},
               bool early = false, RemedyAction action = RemedyAction::Move) {
        const auto process = web();
        ProcessStatus status;
        status.id = process.id;
        status.name = "web";
        status.node = by.empty() ? process.node : by;
        status.state = ProcessState::Failed;
        status.reason = reason_from_json(reason);
        status.epoch = process.epoch;
        status.applied = process.change;
        status.revision = process.revision;
        status.remedy = RemedyProgress{};
        status.remedy->decided = true;
        status.remedy->early = early;
        status.remedy->planned = RemedyPlanned{action, 1, now_, 2};
        ok(actor(status.node), "status.update",
           {{"set", {{"/status/" + status.node + "/" + std::to_string(status.id), status_to_json(status)}}}});
    }

    std::vector<Actor> nodes_;
};

TEST_F(RemedyRulesTest, ThreeMovesADayToNodesWhereItHasNotFailed) {
    spin(nodes_[0], movable({{"port", 0}}));
    std::set<std::string> seen{web().node};
    for (std::uint64_t epoch = 2; epoch <= 4; ++epoch) {
        const auto before = web().node;
        fails();
        EXPECT_EQ(web().epoch, epoch);
        EXPECT_EQ(web().moves.back().from, before);
        EXPECT_EQ(web().changed_by, "remedy@" + before);
        EXPECT_TRUE(seen.insert(web().node).second) << web().node;
        now_ += 20;
    }
    const auto last = web().node;
    fails();
    EXPECT_EQ(web().node, last);
    EXPECT_EQ(web().move_refused, "3 moves today are used up");
    // Once somebody has started it, it may be moved again.
    ok(actor(last), "process.restart", {{"process", "web"}});
    EXPECT_TRUE(web().moves.empty());
    EXPECT_EQ(web().move_refused, "");
    fails();
    EXPECT_EQ(web().epoch, 5u);
}

TEST_F(RemedyRulesTest, OnlyWhatItsFileSaysIsMoved) {
    spin(nodes_[0], movable());
    const auto before = web();
    fails("", {{"kind", "signal"}, {"signal", "SIGSEGV"}});
    fails("", {{"kind", "stopped"}});
    fails("", {{"kind", "exit-code"}}, false, RemedyAction::Restart);
    fails("homec"); // it is not there
    EXPECT_EQ(web().node, before.node);
    EXPECT_EQ(web().epoch, before.epoch);
    ok(nodes_[0], "process.stop", {{"process", "web"}});
    fails();
    EXPECT_EQ(web().node, before.node);
}

TEST_F(RemedyRulesTest, WhatKeepsDataStays) {
    auto document = movable();
    document["run"].erase("data");
    spin(nodes_[0], document);
    fails();
    EXPECT_EQ(web().node, "homeb");
    EXPECT_THAT(web().move_refused, HasSubstr("its data is on this node"));
}

TEST_F(RemedyRulesTest, WhatEndsEarlyOnTwoNodesStaysOnTheSecond) {
    spin(nodes_[0], movable());
    fails("", {{"kind", "start-limit"}, {"cause", "exit-code"}, {"code", 3}}, true);
    const auto second = web().node;
    EXPECT_NE(second, "homeb");
    fails("", {{"kind", "exit-code"}, {"code", 3}}, true);
    EXPECT_EQ(web().node, second);
    EXPECT_THAT(web().move_refused, HasSubstr("on two nodes"));
}

TEST_F(RemedyRulesTest, WithoutARoomElsewhereItStays) {
    spin(nodes_[0], movable({{"placement", {{"nodes", {"homeb"}}}}}));
    fails();
    EXPECT_EQ(web().node, "homeb");
    EXPECT_THAT(web().move_refused, HasSubstr("homeb: it has failed there"));
    EXPECT_EQ(web().move_refused.find('\n'), std::string::npos);
    const auto revision = registry_->store().revision();
    fails();
    EXPECT_LE(registry_->store().revision(), revision + 1) << "the status alone";
}

TEST_F(RemedyRulesTest, ItIsMovedWhereItsDeployerIs) {
    spin(nodes_[0], movable({{"deploy", {{"strategy", "script"}}}}));
    fails();
    EXPECT_EQ(web().node, "homeb");
    EXPECT_THAT(web().move_refused, HasSubstr("has not reported its deployers"));
    const std::vector<DeployerReport> there{{.name = "script", .admitted = true}};
    ok(nodes_[2], "status.update",
       {{"set",
         {{"/info/homed",
           {{"name", "homed"}, {"remote_spin", "sandboxed"}, {"deployers", deployers_to_json(there)}}}}}});
    fails();
    EXPECT_EQ(web().node, "homed");
}

TEST_F(RemedyRulesTest, WhereTheFileNamesTwoNodesItGoesBackToTheFirst) {
    spin(nodes_[0], movable({{"placement", {{"nodes", {"homeb", "homed"}}}}}));
    fails();
    EXPECT_EQ(web().node, "homed");
    fails();
    EXPECT_EQ(web().node, "homeb");
    EXPECT_EQ(web().epoch, 3u);
}

TEST_F(RemedyRulesTest, WhatItsMakerMayHaveElsewhereDecides) {
    // Port 22 is for those with the role owner alone; the node that asks is a member.
    ok(root(), "process.spin", {{"spec", movable({{"port", 22}})}, {"node", "homeb"}});
    fails();
    EXPECT_NE(web().node, "homeb") << web().move_refused;
    EXPECT_EQ(web().port, 22);
}

} // namespace
} // namespace p2prc::registry::test
