#include "core/deployer_report.h"
#include "core/gate.h"
#include "registry/placement.h"
#include "tests/unit/registry/fleet.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <limits>

namespace p2prc::registry::test {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

Json deployers() {
    const std::vector<DeployerReport> all{
        {"script", DeployerClass::Process, true, {}, ""},
        {"nix", DeployerClass::Process, true, {"/usr/bin/nix-build"}, ""},
        {"open", DeployerClass::Process, false, {}, "could be changed by others than root"},
        {"image", DeployerClass::Builder, true, {}, ""},
        {"builds", DeployerClass::Builder, false, {}, ""},
        {"root", DeployerClass::Root, false, {}, ""},
    };
    return deployers_to_json(all);
}

// Nodes of a table, and the spec that is placed among them.
class PlaceTest : public testing::Test {
  protected:
    PlaceTest() {
        spec_.name = "web";
        spec_.run.command = {"/bin/true"};
        for (const auto* name : {"attic", "cellar", "shed"}) {
            auto& node = add(name);
            node.live = "up";
        }
        at("attic").asks = true;
    }

    Candidate& add(const std::string& name) {
        Candidate candidate;
        candidate.record.name = name;
        infos_.push_back({{"arch", "x86_64"},
                          {"memory_bytes", 8 * gib},
                          {"memory_available_bytes", 4 * gib},
                          {"disk_available_bytes", 100 * gib},
                          {"cpu_pressure", 0.0},
                          {"remote_spin", "sandboxed"},
                          {"deployers", deployers()}});
        candidate.info = &infos_.back();
        nodes_.push_back(std::move(candidate));
        return nodes_.back();
    }
    Candidate& at(const std::string& name) {
        return *std::ranges::find_if(nodes_, [&](const auto& node) { return node.record.name == name; });
    }
    Json& info(const std::string& name) { return const_cast<Json&>(*at(name).info); }

    std::vector<PlacementRow> rows(const std::string& wanted = "") const {
        return place(spec_, nodes_, wanted);
    }
    std::string chosen(const std::string& wanted = "") const {
        for (const auto& row : rows(wanted))
            if (row.chosen) return row.node;
        return "";
    }
    // The codes of what is in the way there.
    std::string codes(const std::string& node) const {
        std::string text;
        for (const auto& row : rows())
            if (row.node == node)
                for (const auto& obstacle : row.obstacles) {
                    EXPECT_FALSE(obstacle.text.empty() || obstacle.fix.empty()) << obstacle.code;
                    text += (text.empty() ? "" : " ") + obstacle.code;
                }
        return text;
    }
    // That something is asked, so that the choice is among all nodes.
    void place_anywhere() { spec_.placement.require.arch = "x86_64"; }

    ProcessSpec spec_;
    std::deque<Json> infos_;
    std::vector<Candidate> nodes_;
};

TEST_F(PlaceTest, WithoutPlacementItIsWhereItIsAskedFor) {
    info("attic")["memory_available_bytes"] = 0;
    spec_.limits.memory_bytes = gib;
    EXPECT_EQ(chosen(), "attic");
    EXPECT_EQ(chosen("shed"), "shed");
    EXPECT_EQ(codes("attic"), "");
}

TEST_F(PlaceTest, EachRequirementHasItsObstacle) {
    const std::vector<std::pair<std::string, std::function<void(ProcessSpec&, Candidate&, Json&)>>> cases{
        {"", [](auto&, auto&, auto&) {}},
        {"not-up", [](auto&, auto& node, auto&) { node.live = "lost"; }},
        {"not-up", [](auto&, auto& node, auto&) { node.live = "suspect"; }},
        {"not-up", [](auto&, auto& node, auto&) { node.live = ""; }},
        {"draining", [](auto&, auto& node, auto&) { node.record.draining = true; }},
        {"not-listed", [](auto& spec, auto&, auto&) { spec.placement.nodes = {"shed"}; }},
        {"policy", [](auto&, auto&, auto& info) { info["remote_spin"] = "no"; }},
        {"policy", [](auto&, auto&, auto& info) { info["remote_spin"] = 7, info["remote_spin"] = "later"; }},
        {"policy", [](auto& spec, auto&, auto&) { spec.run.user = "radicale"; }},
        {"", [](auto& spec, auto&, auto& info) { spec.run.user = "radicale", info["remote_spin"] = "any"; }},
        {"arch", [](auto&, auto&, auto& info) { info["arch"] = "aarch64"; }},
        {"arch", [](auto&, auto&, auto& info) { info["arch"] = nullptr; }},
        {"memory", [](auto& spec, auto&, auto&) { spec.placement.require.memory_bytes = 5 * gib; }},
        {"memory", [](auto& spec, auto&, auto&) { spec.limits.memory_bytes = 5 * gib; }},
        {"", [](auto& spec, auto&, auto&) { spec.placement.require.memory_bytes = 4 * gib; }},
        {"memory",
         [](auto& spec, auto& node, auto&) {
             spec.placement.require.memory_bytes = 4 * gib;
             node.promised_bytes = 1;
         }},
        {"memory",
         [](auto& spec, auto& node, auto&) {
             spec.placement.require.memory_bytes = 1;
             node.promised_bytes = std::numeric_limits<std::uint64_t>::max();
         }},
        {"memory",
         [](auto& spec, auto&, auto& info) {
             spec.placement.require.memory_bytes = gib;
             info.erase("memory_available_bytes");
         }},
        {"disk", [](auto& spec, auto&, auto&) { spec.placement.require.disk_bytes = 101 * gib; }},
        {"gpu", [](auto& spec, auto&, auto&) { spec.placement.require.gpu = true; }},
        {"",
         [](auto& spec, auto&, auto& info) {
             spec.placement.require.gpu = true;
             info["gpus"] = {"amdgpu 1002:73bf"};
         }},
        {"", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "script"; }},
        {"deployer", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "nowhere"; }},
        {"deployer", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "open"; }},
        {"deployer", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "nix"; }},
        {"policy", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "builds"; }},
        {"policy", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "root"; }},
        {"", [](auto& spec, auto&, auto&) { spec.deploy.strategy = "image"; }},
        {"deployer",
         [](auto& spec, auto&, auto& info) {
             spec.deploy.strategy = "script";
             info.erase("deployers");
         }},
        {"policy",
         [](auto& spec, auto&, auto& info) {
             spec.deploy.strategy = "builds";
             info["remote_spin"] = "no";
         }},
        {"",
         [](auto& spec, auto& node, auto&) {
             spec.deploy.strategy = "nowhere";
             node.has_it = node.has_deployed = true;
         }},
        {"deployer",
         [](auto& spec, auto& node, auto&) {
             spec.deploy.strategy = "nowhere";
             node.has_it = true;
         }},
        {"", [](auto& spec, auto& node, auto&) { spec.deploy.strategy = "nowhere", node.asks = true; }},
        {"label label",
         [](auto& spec, auto& node, auto&) {
             spec.placement.require.labels = {"disk=ssd", "room=cellar", "quiet"};
             node.record.labels = {{"disk", "hdd"}, {"room", "cellar"}};
         }},
        {"port",
         [](auto&, auto& node, auto&) { node.port = Obstacle{"port", "port 80 is taken", "another"}; }},
        {"",
         [](auto& spec, auto& node, auto&) {
             node.has_it = true;
             node.record.draining = true;
             node.port = Obstacle{"port", "port 80 is taken", "another"};
             spec.placement.require.memory_bytes = 5 * gib;
         }},
        {"not-up draining arch memory label",
         [](auto& spec, auto& node, auto& info) {
             node.live = "lost";
             node.record.draining = true;
             info["arch"] = "riscv64";
             spec.placement.require.memory_bytes = 5 * gib;
             spec.placement.require.labels = {"ssd"};
         }},
    };
    std::size_t number = 0;
    for (const auto& [expected, change] : cases) {
        SCOPED_TRACE(number++);
        const auto kept = std::tuple(spec_, at("cellar"), info("cellar"));
        place_anywhere();
        change(spec_, at("cellar"), info("cellar"));
        EXPECT_EQ(codes("cellar"), expected);
        spec_ = std::get<0>(kept);
        info("cellar") = std::get<2>(kept);
        at("cellar") = std::get<1>(kept);
    }
}

TEST_F(PlaceTest, TheOrderOfTheFileComesFirst) {
    spec_.placement.nodes = {"shed", "cellar", "gone"};
    info("shed")["memory_available_bytes"] = 1;
    EXPECT_EQ(chosen(), "shed");
    at("shed").live = "lost";
    EXPECT_EQ(chosen(), "cellar");
    EXPECT_EQ(codes("gone"), "unknown");
    EXPECT_EQ(codes("attic"), "not-listed");
}

TEST_F(PlaceTest, OtherwiseTheOneWithMostRoom) {
    place_anywhere();
    EXPECT_EQ(chosen(), "attic") << "equals by name";
    info("shed")["memory_available_bytes"] = 6 * gib;
    EXPECT_EQ(chosen(), "shed");
    info("shed")["on_battery"] = true;
    EXPECT_EQ(chosen(), "shed") << "a tenth less is still more";
    info("shed")["cpu_pressure"] = 60.0;
    EXPECT_EQ(chosen(), "attic");
    info("cellar")["memory_available_bytes"] = 4 * gib + gib;
    info("cellar")["on_battery"] = true;
    EXPECT_EQ(chosen(), "cellar");
    std::ranges::reverse(nodes_);
    EXPECT_EQ(chosen(), "cellar") << "whatever the order of the candidates";
}

TEST_F(PlaceTest, WhatIsThereStaysThere) {
    place_anywhere();
    at("cellar").has_it = true;
    at("cellar").live = "lost";
    EXPECT_EQ(chosen(), "cellar");
    EXPECT_EQ(chosen("shed"), "cellar");
}

TEST_F(PlaceTest, AWantedNodeThatDoesNotFitIsRefusedWithItsObstacles) {
    spec_.placement.nodes = {"attic", "cellar"};
    EXPECT_EQ(chosen("shed"), "");
    const auto refused = chosen_node(spec_, rows("shed"), "shed");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NoSuitableNode);
    EXPECT_EQ(refused.error().message,
              "node 'shed' does not fit the placement of process 'web': placement.nodes does not name it");
    EXPECT_EQ(refused.error().hint, "add \"shed\" to placement.nodes");
}

TEST_F(PlaceTest, ARefusalHasALineForEachNode) {
    spec_.placement.require.memory_bytes = 5 * gib;
    spec_.placement.require.labels = {"ssd"};
    at("shed").live = "lost";
    at("shed").since = "2026-05-04T10:04:00Z";
    const auto refused = chosen_node(spec_, rows(), "");
    ASSERT_FALSE(refused);
    EXPECT_EQ(
        refused.error().message,
        "no node fits the placement of process 'web'\n"
        "attic: needs 5.0G of memory, 4.0G are free; label 'ssd' is missing\n"
        "cellar: needs 5.0G of memory, 4.0G are free; label 'ssd' is missing\n"
        "shed: lost since 2026-05-04T10:04:00Z; needs 5.0G of memory, 4.0G are free; label 'ssd' is missing");
    for (int i = 0; i < 1000; ++i)
        add("node" + std::to_string(i));
    const auto many = chosen_node(spec_, rows(), "");
    ASSERT_FALSE(many);
    EXPECT_LT(many.error().message.size(), 16U * 1024);
    EXPECT_NE(many.error().message.find("and 973 more nodes"), std::string::npos);
}

// What another machine says of itself makes it look better or worse, and no more.
TEST_F(PlaceTest, NoReportIsBelievedBeyondItsBounds) {
    spec_.placement.require.memory_bytes = 5 * gib;
    auto& hostile = info("shed");
    hostile["memory_available_bytes"] = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(codes("shed"), "memory");
    hostile["memory_available_bytes"] = 100 * gib;
    EXPECT_EQ(chosen(), "shed") << "as much as the machine has";
    for (const auto& [key, value] :
         std::initializer_list<std::pair<const char*, Json>>{{"cpu_pressure", -1e300},
                                                             {"cpu_pressure", "idle"},
                                                             {"memory_bytes", -1},
                                                             {"memory_bytes", 0},
                                                             {"gpus", {{"a", 1}}},
                                                             {"on_battery", "yes"},
                                                             {"arch", std::string(100000, 'x')},
                                                             {"deployers", {{{"name", 7}}}},
                                                             {"remote_spin", Json::array()}}) {
        hostile[key] = value;
        for (const auto& row : rows()) {
            EXPECT_TRUE(row.score >= 0 && row.score <= 1) << key;
            for (const auto& obstacle : row.obstacles)
                EXPECT_LT(obstacle.text.size(), 300U) << key;
        }
    }
    hostile = Json::array({1, 2});
    EXPECT_EQ(codes("shed"), "memory");
    EXPECT_FALSE(rows_to_json(rows()).empty());
}

class PlacedSpinTest : public FleetTest {
  protected:
    PlacedSpinTest() {
        make_fleet();
        attic_ = add("attic", 'b');
        cellar_ = add("cellar", 'c');
        for (const auto& node : {attic_, cellar_})
            ok(root(), "node.live", {{"node", node.node}, {"state", "up"}});
        report(root(), 1);
        report(attic_, 4);
        report(cellar_, 6);
    }
    void report(const Actor& node, std::uint64_t free, Json more = Json::object()) {
        Json info{{"arch", "x86_64"},
                  {"memory_bytes", 8 * gib},
                  {"memory_available_bytes", free * gib},
                  {"disk_available_bytes", 100 * gib},
                  {"cpu_pressure", 0.0}};
        info.update(more);
        ok(node, "status.update", {{"set", {{"/info/" + node.node, info}}}});
    }
    static Json placed(const std::string& name, const Json& placement, Json more = Json::object()) {
        more["placement"] = placement;
        return spec(name, more);
    }
    std::string chosen(const Json& answer) {
        for (const auto& row : answer["placement"])
            if (row["chosen"] == true) return row["node"];
        return "";
    }
    Json explain(const Actor& actor, const Json& document, const std::string& node = "") {
        const auto before = registry_->store().revision();
        auto answer = ok(actor, "process.explain", {{"spec", document}, {"node", node}});
        EXPECT_EQ(registry_->store().revision(), before);
        return answer;
    }

    Actor attic_, cellar_;
};

TEST_F(PlacedSpinTest, AnExplanationIsWhatHappens) {
    const Json placements[] = {
        {{"require", {{"arch", "x86_64"}}}},
        {{"require", {{"memory", "5G"}}}},
        {{"nodes", {"root", "attic"}}},
        {{"nodes", {"attic", "cellar"}}, {"require", {{"memory", "5G"}}}},
    };
    int number = 0;
    for (const auto& placement : placements) {
        const auto document = placed("web" + std::to_string(number++), placement, {{"port", 0}});
        const auto explained = explain(attic_, document);
        ASSERT_EQ(explained["placement"].size(), 3U);
        EXPECT_EQ(spin(attic_, document)["node"], chosen(explained)) << placement;
        now_ += 1000;
    }
    EXPECT_EQ(at("/processes/web0")["node"], "cellar");
    EXPECT_EQ(at("/processes/web1")["node"], "cellar");
    EXPECT_EQ(at("/processes/web2")["node"], "root");
    EXPECT_EQ(at("/processes/web3")["node"], "cellar");
    EXPECT_EQ(chosen(explain(attic_, spec("here"))), "attic");
    EXPECT_EQ(spin(attic_, spec("here"))["node"], "attic");
    EXPECT_EQ(chosen(explain(attic_, spec("there"), "cellar")), "cellar");
}

TEST_F(PlacedSpinTest, MemoryThatWasJustPromisedIsNotGivenTwice) {
    const auto big = [](const std::string& name) {
        return placed(name, {{"require", {{"arch", "x86_64"}}}}, {{"limits", {{"memory", "3G"}}}});
    };
    EXPECT_EQ(spin(attic_, big("one"))["node"], "cellar");
    EXPECT_EQ(spin(attic_, big("two"))["node"], "attic");
    EXPECT_EQ(spin(attic_, big("three"))["node"], "cellar");
    EXPECT_EQ(refused(attic_, "process.spin", {{"spec", big("four")}}).code, ErrorCode::NoSuitableNode);
    now_ += 1000; // they have grown and were measured by then
    EXPECT_EQ(spin(attic_, big("four"))["node"], "cellar");
}

TEST_F(PlacedSpinTest, ATakenPortIsInTheWayOnItsNodeAlone) {
    spin(cellar_, spec("radio", {{"port", 5232}}));
    const auto document = placed("web", {{"require", {{"arch", "x86_64"}}}}, {{"port", 5232}});
    const auto explained = explain(attic_, document);
    EXPECT_EQ(chosen(explained), "attic");
    EXPECT_THAT(explained["placement"][1]["obstacles"][0]["text"].get<std::string>(),
                HasSubstr("taken by process 'radio'"));
    EXPECT_EQ(spin(attic_, document)["node"], "attic");
}

TEST_F(PlacedSpinTest, WhatTheCallerSaysOfItselfCountsThereAlone) {
    const Json params{{"spec", placed("web", {{"nodes", {"attic", "cellar"}}})},
                      {"refused_here", {{"message", "port 80 is in use"}, {"hint", "end that program"}}}};
    EXPECT_EQ(ok(attic_, "process.spin", params)["node"], "cellar");
}

TEST_F(PlacedSpinTest, ADeployerIsToBeThereAndAdmitted) {
    const auto deployed = [](const std::string& name, const char* strategy) {
        return placed(name, {{"require", {{"arch", "x86_64"}}}}, {{"deploy", {{"strategy", strategy}}}});
    };
    report(cellar_, 6, {{"deployers", Json::array()}});
    report(attic_, 4, {{"deployers", deployers()}});
    EXPECT_EQ(chosen(explain(cellar_, deployed("one", "image"))), "cellar") << "it knows itself better";
    const Json lacks{{"message", "this machine has no deployer 'image'"}, {"hint", "install it"}};
    EXPECT_EQ(
        ok(cellar_, "process.spin", {{"spec", deployed("one", "image")}, {"refused_here", lacks}})["node"],
        "attic");
    const auto error =
        refused(cellar_, "process.spin", {{"spec", deployed("two", "builds")}, {"refused_here", lacks}});
    EXPECT_EQ(error.code, ErrorCode::NoSuitableNode);
    EXPECT_THAT(error.message, HasSubstr("attic: node 'attic' does not run the deployer 'builds'"));
    EXPECT_THAT(error.message, HasSubstr("root: node 'root' has not reported its deployers"));

    const auto to = [](const char* name, const char* strategy, const char* node) {
        return Json{{"spec", spec(name, {{"deploy", {{"strategy", strategy}}}})}, {"node", node}};
    };
    EXPECT_EQ(refused(cellar_, "process.spin", to("three", "builds", "attic")).code, ErrorCode::NotPermitted);
    const auto missing = refused(cellar_, "process.spin", to("three", "nix", "attic"));
    EXPECT_EQ(missing.code, ErrorCode::NoSuitableNode);
    EXPECT_THAT(missing.hint, HasSubstr("apt install nix-bin"));
    EXPECT_EQ(refused(attic_, "process.spin", to("three", "script", "cellar")).code,
              ErrorCode::NoSuitableNode);
    EXPECT_EQ(ok(cellar_, "process.spin", to("three", "script", "attic"))["node"], "attic");
    // Of an update the node is told: what it asks for may have been deployed there before.
    ok(cellar_, "process.spin", to("three", "nowhere", "attic"));
    EXPECT_EQ(refused(cellar_, "process.spin", to("three", "root", "attic")).code, ErrorCode::NotPermitted);
    const auto explained = explain(cellar_, spec("three", {{"deploy", {{"strategy", "nix"}}}}));
    EXPECT_EQ(chosen(explained), "attic");
    EXPECT_EQ(explained["placement"][0]["obstacles"][0]["code"], "deployer");
    const auto again = explain(cellar_, spec("three", {{"deploy", {{"strategy", "script"}}}}));
    EXPECT_EQ(again["placement"][0]["obstacles"], Json::array());
}

TEST_F(PlacedSpinTest, WhereADeployerIsMissingEachNodeIsExplained) {
    report(attic_, 4, {{"deployers", deployers()}});
    report(cellar_, 6, {{"deployers", Json::array()}});
    const auto document = spec("web", {{"deploy", {{"strategy", "scrpt"}}}});
    const Json refused_here{{"message", "this machine has no deployer 'scrpt'"}, {"hint", "did you mean"}};
    for (const auto* node : {"", "cellar", "attic"}) {
        const auto explained = ok(cellar_, "process.explain",
                                  {{"spec", document}, {"node", node}, {"refused_here", refused_here}});
        EXPECT_EQ(chosen(explained), "") << node;
        const auto& rows = explained["placement"];
        ASSERT_EQ(rows.size(), 3U);
        EXPECT_EQ(rows[0]["obstacles"][0]["text"], "node 'attic' has no deployer 'scrpt'");
        EXPECT_THAT(rows[0]["obstacles"][0]["fix"].get<std::string>(),
                    testing::StartsWith("did you mean 'script'? it has "));
        EXPECT_EQ(rows[1]["obstacles"][0]["text"], "this machine has no deployer 'scrpt'");
        EXPECT_EQ(rows[2]["obstacles"][0]["text"], "node 'root' has not reported its deployers");
    }
    // For another node it is no matter what this one has.
    const auto there = ok(cellar_, "process.explain",
                          {{"spec", spec("web", {{"deploy", {{"strategy", "script"}}}})},
                           {"node", "attic"},
                           {"refused_here", refused_here}});
    EXPECT_EQ(chosen(there), "attic");
    EXPECT_EQ(there["placement"][1]["fits"], false);
}

TEST_F(PlacedSpinTest, NobodyFits) {
    const auto document = placed("web", {{"require", {{"label", "ssd"}}}});
    const auto explained = explain(attic_, document);
    EXPECT_EQ(chosen(explained), "");
    const auto error = refused(attic_, "process.spin", {{"spec", document}});
    EXPECT_EQ(error.code, ErrorCode::NoSuitableNode);
    for (const auto* node : {"root", "attic", "cellar"})
        EXPECT_THAT(error.message, HasSubstr(std::string(node) + ": label 'ssd' is missing"));
    EXPECT_EQ(refused(attic_, "process.spin", {{"spec", document}, {"node", "attic"}}).code,
              ErrorCode::NoSuitableNode);
}

TEST_F(PlacedSpinTest, WhatIsRefusedForAnotherReasonIsRefusedAlike) {
    const auto document = spec("web", {{"port", 0}, {"domain", "other.example"}});
    const auto spun = refused(attic_, "process.spin", {{"spec", document}});
    const auto explained = refused(attic_, "process.explain", {{"spec", document}});
    EXPECT_EQ(spun, explained);
}

class DrainTest : public PlacedSpinTest {
  protected:
    static Json free(const std::string& name, Json more = Json::object()) {
        auto document = spec(name, std::move(more));
        document["run"]["data"] = false;
        return document;
    }
    static std::string codes(const Json& row) {
        std::string text;
        for (const auto& obstacle : row["obstacles"])
            text += (text.empty() ? "" : " ") + obstacle["code"].get<std::string>();
        return text;
    }
};

TEST_F(DrainTest, WhatIsTiedToTheMachineStays) {
    spin(attic_, free("a-free", {{"port", 0}, {"domain", "free.home.example"}}));
    spin(attic_, spec("b-data"));
    auto user = free("c-user");
    user["run"]["user"] = "radicale";
    user["run"]["credentials"] = {{"KEY", "/etc/key"}};
    spin(attic_, user);
    spin(attic_, free("d-labelled", {{"placement", {{"nodes", {"attic"}}}}}));
    spin(cellar_, free("elsewhere"));
    const auto before = registry_->store().revision();
    const auto planned = ok(attic_, "node.explain_drain", {{"node", "attic"}});
    EXPECT_EQ(registry_->store().revision(), before);
    const auto drained = ok(attic_, "node.drain", {{"node", "attic"}});
    EXPECT_EQ(planned, drained);
    const auto& rows = drained["processes"];
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0]["to"], "cellar");
    EXPECT_EQ(codes(rows[0]), "");
    EXPECT_EQ(codes(rows[1]), "data");
    EXPECT_EQ(codes(rows[2]), "user credentials");
    EXPECT_EQ(codes(rows[3]), "placement");
    EXPECT_EQ(rows[3]["obstacles"][0]["fix"],
              "add \"cellar\" or \"root\" to placement.nodes of its file, spin it again, and drain again");
    const auto moved = at("/processes/a-free"), mapping = at("/domains/free.home.example");
    EXPECT_EQ(moved["node"], "cellar");
    EXPECT_EQ(moved["epoch"], 2);
    EXPECT_EQ(mapping["node"], "cellar");
    EXPECT_EQ(mapping["port"], moved["port"]);
    EXPECT_EQ(mapping["process_id"], moved["id"]);
    EXPECT_TRUE(accept_domain("/domains/free.home.example", mapping));
    EXPECT_EQ(at("/processes/b-data")["node"], "attic");
    EXPECT_EQ(at("/processes/b-data")["epoch"], 1);
}

TEST_F(DrainTest, AnUpdateIsJudgedWhereItBegan) {
    spin(attic_, free("web", {{"port", 0}}));
    const auto report_web = [&](std::uint32_t revision, const char* phase) {
        Json status{{"id", 1},      {"name", "web"},        {"node", "attic"}, {"state", "running"},
                    {"applied", 1}, {"revision", revision}, {"good", revision}};
        if (phase) status["update"] = {{"revision", revision}, {"fallback", 1}, {"phase", phase}};
        ok(attic_, "status.update", {{"set", {{"/status/attic/1", status}}}});
    };
    report_web(1, nullptr);
    spin(attic_, free("web", {{"port", 4321}}));
    EXPECT_EQ(codes(ok(attic_, "node.drain", {{"node", "attic"}})["processes"][0]), "update");
    report_web(2, "good");
    EXPECT_EQ(ok(attic_, "node.drain", {{"node", "attic"}})["processes"][0]["to"], "cellar");
    // The port of the one before was chosen on another machine.
    const auto moved = process_from_json(at("/processes/web"));
    EXPECT_EQ(moved->port, 4321);
    EXPECT_NE(moved->former[0].port, std::nullopt);
    EXPECT_NE(moved->former[0].port, 4321);
}

TEST_F(DrainTest, WhatItsOwnerHasPausedStays) {
    spin(attic_, free("web"));
    const Json status{{"id", 1}, {"name", "web"}, {"node", "attic"}, {"state", "paused"}};
    ok(attic_, "status.update", {{"set", {{"/status/attic/1", status}}}});
    const auto row = ok(attic_, "node.drain", {{"node", "attic"}})["processes"][0];
    EXPECT_EQ(codes(row), "paused");
    EXPECT_EQ(row["obstacles"][0]["fix"], "on attic: p2prc resume web");
    auto all = status;
    all["reason"] = {{"kind", "paused"}, {"by", "bob@attic"}, {"owner", "cellar"}};
    ok(attic_, "status.update", {{"set", {{"/status/attic/1", all}}}});
    EXPECT_EQ(ok(attic_, "node.drain", {{"node", "attic"}})["processes"][0]["obstacles"][0]["fix"],
              "on attic: p2prc resume --owner cellar");
}

TEST_F(DrainTest, NothingIsPlacedOnADrainedNodeUntilItIsResumed) {
    ok(root(), "node.drain", {{"node", "cellar"}});
    const auto anywhere = [](const std::string& name) {
        return placed(name, {{"require", {{"arch", "x86_64"}}}});
    };
    EXPECT_EQ(spin(attic_, anywhere("one"))["node"], "attic");
    EXPECT_EQ(refused(cellar_, "process.spin", {{"spec", spec("two")}}).code, ErrorCode::Conflict);
    EXPECT_EQ(refused(attic_, "process.spin", {{"spec", anywhere("three")}, {"node", "cellar"}}).code,
              ErrorCode::NoSuitableNode);
    ok(cellar_, "node.resume", {{"node", "cellar"}});
    EXPECT_FALSE(at("/nodes/cellar").contains("draining"));
    EXPECT_EQ(spin(attic_, anywhere("four"))["node"], "cellar");
    // One who is still trying learns of it, and drains nothing.
    EXPECT_EQ(refused(cellar_, "node.drain", {{"node", "cellar"}, {"again", true}}).code,
              ErrorCode::Conflict);
    EXPECT_FALSE(at("/nodes/cellar").contains("draining"));
    EXPECT_EQ(refused(attic_, "node.drain", {{"node", "cellar"}}).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(attic_, "node.resume", {{"node", "cellar"}}).code, ErrorCode::NotPermitted);
}

TEST_F(DrainTest, NothingGoesWhereItsDeployerIsNot) {
    report(cellar_, 6, {{"deployers", deployers()}});
    spin(attic_, free("a-image", {{"deploy", {{"strategy", "image"}}}}));
    spin(attic_, free("b-nix", {{"deploy", {{"strategy", "nix"}}}}));
    spin(attic_, free("c-root", {{"deploy", {{"strategy", "root"}}}}));
    const auto rows = ok(attic_, "node.drain", {{"node", "attic"}})["processes"];
    EXPECT_EQ(rows[0]["to"], "cellar");
    EXPECT_EQ(codes(rows[1]), "placement");
    EXPECT_THAT(rows[1]["obstacles"][0]["text"].get<std::string>(), HasSubstr("needs /usr/bin/nix-build"));
    EXPECT_EQ(codes(rows[2]), "placement");
    EXPECT_THAT(rows[2]["obstacles"][0]["text"].get<std::string>(), HasSubstr("runs as root"));
}

TEST_F(DrainTest, NothingGoesWhereItIsNotWantedOrFromWhereItCannotBeStopped) {
    spin(attic_, free("web", {{"limits", {{"memory", "3G"}}}}));
    report(cellar_, 6, {{"remote_spin", "no"}});
    const auto drained = ok(attic_, "node.drain", {{"node", "attic"}});
    EXPECT_EQ(codes(drained["processes"][0]), "placement") << "cellar takes none, root has no room";
    report(cellar_, 6);
    ok(root(), "node.live", {{"node", "attic"}, {"state", "lost"}});
    EXPECT_EQ(codes(ok(root(), "node.drain", {{"node", "attic"}})["processes"][0]), "not-up");
    const auto before = registry_->store().revision();
    EXPECT_EQ(codes(ok(root(), "node.drain", {{"node", "attic"}, {"again", true}})["processes"][0]),
              "not-up");
    EXPECT_EQ(registry_->store().revision(), before) << "trying again writes nothing";
    ok(root(), "node.live", {{"node", "attic"}, {"state", "up"}});
    EXPECT_EQ(ok(root(), "node.drain", {{"node", "attic"}, {"again", true}})["processes"][0]["to"], "cellar");
}

} // namespace
} // namespace p2prc::registry::test
