// Who runs what on this machine, and what it may use.
#include "process/unit_names.h"
#include "state/origins.h"
#include "state/owner_limits.h"
#include "state/pauses.h"
#include "tests/unit/daemon/api/fixture.h"

#include <array>
#include <fstream>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

class OwnersTest : public ApiTest {
  protected:
    void SetUp() override {
        populate();
        state::Origins(*own).note(wiki.spec);
        auto game = process(8, "game"), chess = process(9, "chess");
        game.created_by = chess.created_by = "bob@root1";
        commit({{keys::process("game"), to_json(game)}, {keys::process("chess"), to_json(chess)}});
        report(game, ProcessState::Running);
        report(chess, ProcessState::Stopped);
        fs::create_directories(directory.path() / "cgroup");
        std::ofstream(directory.path() / "cgroup/cgroup.controllers") << "cpu memory pids\n";
        group("p2prc-wiki.service", 3);
        group("p2prc-root1.slice", 5);
        group("p2prc-root1.slice/p2prc-game.service", 4);
        start();
    }
    void group(const std::string& path, int tasks) const {
        const auto place = directory.path() / "cgroup/p2prc.slice" / path;
        fs::create_directories(place);
        std::ofstream(place / "pids.current") << tasks << "\n";
        std::ofstream(place / "cpu.stat") << "usage_usec 1000\n";
    }
    Json rows() { return bus.run(client->owners()).value(); }
    Result<Json> limit(const std::string& node, const Json& options) {
        return bus.run(client->limit_owner(node, Json(options)));
    }
};

TEST_F(OwnersTest, EachHasARowWithWhatItUses) {
    const auto all = rows();
    ASSERT_EQ(all.size(), 2U) << all.dump();
    EXPECT_EQ(all[0]["owner"], "home1");
    EXPECT_EQ(all[0]["own"], true);
    EXPECT_EQ(all[0]["processes"], Json{"wiki"});
    EXPECT_EQ(all[0]["running"], 1);
    EXPECT_EQ(all[0]["tasks"], 3);
    EXPECT_EQ(all[1]["owner"], "root1");
    EXPECT_EQ(all[1]["own"], false);
    EXPECT_EQ(all[1]["processes"], (Json{"chess", "game"}));
    EXPECT_EQ(all[1]["running"], 1);
    EXPECT_EQ(all[1]["tasks"], 5) << "of the slice, with what is done for its processes";
    EXPECT_EQ(all[1]["cpu_usec"], 1000);
    EXPECT_FALSE(all[1].contains("tasks_limit"));
}

TEST_F(OwnersTest, WhatRunsInTheOldSliceIsCounted) {
    const auto top = directory.path() / "cgroup/p2prc.slice";
    fs::rename(top / "p2prc-root1.slice/p2prc-game.service", top / "p2prc-game.service");
    const auto row = rows()[1];
    EXPECT_EQ(row["tasks"], 9);
    EXPECT_EQ(row["outside"], Json{"game"});
    const auto limited = limit("root1", {{"tasks", "20"}});
    ASSERT_TRUE(limited) << limited.error().message;
    EXPECT_EQ((*limited)["notes"], Json{"the limits count for game from the next start on"});
}

// An update may have led it to its second unit; until the first one has ended, both are there.
TEST_F(OwnersTest, BothUnitsOfAProcessAreCounted) {
    group("p2prc-wiki_2.service", 10);
    EXPECT_EQ(rows()[0]["tasks"], 13);
    const auto top = directory.path() / "cgroup/p2prc.slice";
    fs::remove_all(top / "p2prc-wiki.service");
    EXPECT_EQ(rows()[0]["tasks"], 10);
    EXPECT_EQ(rows()[0]["running"], 1);
    group("p2prc-game_2.service", 7);
    EXPECT_EQ(rows()[1]["tasks"], 12);
    EXPECT_EQ(rows()[1]["outside"], Json{"game"});
    fs::rename(top / "p2prc-root1.slice/p2prc-game.service", top / "p2prc-game.service");
    EXPECT_EQ(rows()[1]["outside"], Json{"game"}) << "named once";
}

TEST_F(OwnersTest, LimitsAreNotedAndInEffect) {
    const auto row = limit("root1", {{"tasks", "20"}, {"memory", "2G"}, {"cpu", "150%"}});
    ASSERT_TRUE(row) << row.error().message;
    EXPECT_EQ((*row)["tasks_limit"], 20);
    EXPECT_EQ((*row)["memory_limit_bytes"], 2ULL << 30);
    EXPECT_EQ((*row)["cpu_limit_percent"], 150);
    EXPECT_EQ((*row)["limited_by"], "root@home1");
    EXPECT_EQ(applied, std::vector<std::string>{"root1"});
    // Each for itself.
    EXPECT_TRUE(limit("root1", {{"memory", "none"}}));
    EXPECT_EQ(rows()[1]["tasks_limit"], 20);
    EXPECT_FALSE(rows()[1].contains("memory_limit_bytes"));
    EXPECT_TRUE(limit("root1", {{"tasks", "none"}, {"cpu", "none"}}));
    EXPECT_FALSE(state::OwnerLimits(*own).of("root1"));
    EXPECT_EQ(applied.size(), 3U);
}

TEST_F(OwnersTest, ALimitBelowWhatIsInUseSaysSo) {
    const auto row = limit("root1", {{"tasks", "4"}});
    ASSERT_TRUE(row) << row.error().message;
    ASSERT_EQ((*row)["notes"].size(), 1U);
    EXPECT_EQ((*row)["notes"][0],
              "they have 5 tasks, and the limit is 4: none is ended, and none begins before there are fewer");
    const auto wide = limit("root1", {{"tasks", "5"}});
    EXPECT_TRUE((*wide)["notes"].empty());
}

TEST_F(OwnersTest, ALimitThatTheKernelDoesNotEnforceSaysSo) {
    fs::remove(directory.path() / "cgroup/cgroup.controllers");
    const auto notes = [this](const char* name, const char* value) {
        const auto row = limit("root1", {{"memory", "none"}, {"cpu", "none"}, {"tasks", "none"}});
        EXPECT_TRUE(row);
        return limit("root1", {{name, value}}).value()["notes"];
    };
    for (const auto& [name, value, words] :
         {std::array{"memory", "1G", "the limit of memory has no effect"},
          std::array{"cpu", "150%", "the limit of processor time has no effect"},
          std::array{"tasks", "4", "the limit of tasks has no effect"}}) {
        const auto told = notes(name, value);
        ASSERT_EQ(told.size(), 1U) << told.dump();
        EXPECT_EQ(told[0].get<std::string>().find(words), 0U) << told.dump();
    }
}

// It was spun here for another node, and a drain has brought it here.
TEST_F(OwnersTest, WhatThisMachineHasSpunForAnotherIsNoOtherOwners) {
    auto home = process(10, "home");
    home.created_by = "anna@home1";
    commit({{keys::process("home"), to_json(home)}});
    report(home, ProcessState::Running);
    group("p2prc-home1.slice/p2prc-home.service", 2);
    const auto all = rows();
    ASSERT_EQ(all.size(), 2U) << all.dump();
    EXPECT_EQ(all[0]["processes"], (Json{"home", "wiki"}));
    EXPECT_EQ(all[0]["running"], 2);
    EXPECT_EQ(all[0]["tasks"], 5);
}

TEST_F(OwnersTest, WhatIsNoLimitOrNoNodeIsRefused) {
    const auto refusal = [this](const std::string& node, const Json& options) {
        const auto row = limit(node, options);
        EXPECT_FALSE(row);
        return row ? std::string() : row.error().message;
    };
    EXPECT_EQ(refusal("root1", {{"memory", "lots"}}), "memory 'lots' is not a size such as 512M or 2G");
    EXPECT_EQ(refusal("root1", {{"memory", "12"}}),
              "memory '12' is too little for any process: the least is 1M");
    EXPECT_NE(limit("root1", {{"memory", "12"}}).error().hint.find("16M"), std::string::npos);
    EXPECT_NE(limit("root1", {{"tasks", "0"}}).error().hint.find("16 tasks"), std::string::npos);
    EXPECT_EQ(refusal("root1", {{"cpu", "2"}}), "cpu '2' is not a percentage between 1% and 100000%, such as "
                                                "150%: one and a half processors");
    EXPECT_EQ(refusal("root1", {{"tasks", "0"}}), "tasks '0' is not a number between 1 and 4194304");
    EXPECT_EQ(refusal("root1", Json::object()), "no limit is given");
    EXPECT_EQ(refusal("rot1", {{"tasks", "5"}}), "there is no node 'rot1'");
    EXPECT_NE(refusal("home1", {{"tasks", "5"}}).find("'home1' is this machine"), std::string::npos);
    EXPECT_TRUE(applied.empty());
    EXPECT_TRUE(state::OwnerLimits(*own).nodes().empty());
}

TEST_F(OwnersTest, LimitsOfANodeThatHasLeftCanBeTakenAway) {
    state::OwnerLimits(*own).set("bob", {{.tasks = 5}, "ada@home1", "2026-01-02T03:04:05Z"});
    ASSERT_EQ(rows().size(), 3U);
    EXPECT_EQ(rows()[1]["owner"], "bob");
    EXPECT_TRUE(limit("bob", {{"tasks", "none"}}));
    EXPECT_EQ(rows().size(), 2U);
}

TEST_F(OwnersTest, WhatSystemdRefusesIsToldAndStaysNoted) {
    limits_apply = fail(ErrorCode::Failed, "no such controller");
    const auto row = limit("root1", {{"tasks", "20"}});
    ASSERT_FALSE(row);
    EXPECT_NE(row.error().message.find("not in effect: no such controller"), std::string::npos);
    EXPECT_EQ(rows()[1]["tasks_limit"], 20);
}

TEST_F(OwnersTest, WhatIsPausedIsCountedApart) {
    EXPECT_EQ(rows()[1]["paused"], 0);
    const auto game = process(8, "game");
    report(game, ProcessState::Paused); // it was stopped, as it could not be frozen
    EXPECT_EQ(rows()[1]["running"], 0);
    EXPECT_EQ(rows()[1]["paused"], 1);
    auto frozen = status(game, ProcessState::Paused);
    frozen["pid"] = 42;
    own->set(keys::status(game.node, game.id), frozen);
    EXPECT_EQ(rows()[1]["running"], 0);
    EXPECT_EQ(rows()[1]["paused"], 1);
    EXPECT_EQ(rows()[1]["tasks"], 5) << "what it has is still used";
}

TEST_F(OwnersTest, APauseOfAllIsShown) {
    ASSERT_TRUE(bus.run(client->pause_owner("root1")));
    EXPECT_EQ(rows()[1]["paused_by"], "root@home1");
    EXPECT_FALSE(rows()[0].contains("paused_by"));
}

} // namespace
} // namespace p2prc::daemon
