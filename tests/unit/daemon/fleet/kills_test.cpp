// What was killed here, and a registry that is restored from before that.
#include "core/local_action.h"
#include "daemon/fleet/kills.h"
#include "tests/unit/daemon/fleet/node_state.h"

#include <optional>

namespace p2prc::daemon {
namespace {

class KillsTest : public test::NodeStateTest {
  protected:
    KillsTest() {
        kills.emplace(*replica, *own, [] { return std::string("home"); });
        replica->reset("before", 9, {fleet()});
    }

    static state::Change record(std::uint32_t id, const std::string& name, const char* node = "home") {
        auto made = process_record(id, name, node);
        made.unknown["local_sequence"] = 3;
        return {keys::process(name), to_json(made), 1};
    }
    void report(std::uint32_t id, const std::string& name, ProcessState state, StopKind kind,
                const char* node = "home") {
        auto made = status(id, name, state, node);
        made.reason = StopReason{.kind = kind};
        made.reason->by = "alice@root";
        NodeStateTest::report(made);
    }
    void kill(std::uint32_t id, const std::string& name) {
        report(id, name, ProcessState::Running, StopKind::ExitCode);
        report(id, name, ProcessState::Stopped, StopKind::Killed);
        own->erase(keys::status("home", id));
    }

    std::optional<Kills> kills;
};

TEST_F(KillsTest, WhatComesBackIsKilledOnceMore) {
    kill(4, "doomed");
    report(5, "stopped", ProcessState::Stopped, StopKind::Stopped);
    report(6, "failed", ProcessState::Failed, StopKind::ExitCode);
    report(7, "elsewhere", ProcessState::Stopped, StopKind::Killed, "attic");
    EXPECT_EQ(keys_of("/killed/"), std::vector<std::string>{"/killed/4"});
    kills->repeat({fleet(), record(4, "doomed"), record(5, "stopped"), record(6, "failed")});
    EXPECT_EQ(keys_of("/local/"), std::vector<std::string>{"/local/home/4"});
    const auto action = local_action_from_json(*own->get("/local/home/4"));
    EXPECT_TRUE(action.is_kill());
    EXPECT_EQ(action.sequence, 4u) << "one that the registry has not taken in";
    EXPECT_EQ(action.by, "alice@root");
    // It may be restored again.
    own->erase("/local/home/4");
    kills->repeat({fleet(), record(4, "doomed")});
    EXPECT_EQ(keys_of("/local/"), std::vector<std::string>{"/local/home/4"});
}

TEST_F(KillsTest, NothingElseIsKilled) {
    kill(4, "doomed");
    kills->repeat({fleet(), record(8, "doomed")}); // spun since
    kills->repeat({fleet(), record(4, "other")});
    kills->repeat({fleet(), record(4, "doomed", "attic")});
    kills->repeat({fleet("f2"), record(4, "doomed")});
    kills->repeat({record(4, "doomed")});
    kills->repeat({fleet()});
    EXPECT_TRUE(keys_of("/local/").empty());
}

// By a registry whose count was lost, as that of a machine that was put back as a whole.
TEST_F(KillsTest, AnIdThatRunsAgainIsForgotten) {
    kill(4, "doomed");
    report(4, "doomed", ProcessState::Running, StopKind::Killed);
    EXPECT_TRUE(keys_of("/killed/").empty());
}

TEST_F(KillsTest, TheOldestAreForgotten) {
    for (std::uint32_t id = 1; id <= Kills::most_remembered + 2; ++id) {
        report(id, "doomed", ProcessState::Stopped, StopKind::Killed);
        if (id == 2) report(1, "doomed", ProcessState::Stopped, StopKind::Stopped);
    }
    EXPECT_EQ(keys_of("/killed/").size(), Kills::most_remembered);
    EXPECT_FALSE(own->get("/killed/1"));
    EXPECT_FALSE(own->get("/killed/2"));
    EXPECT_TRUE(own->get("/killed/3"));
}

} // namespace
} // namespace p2prc::daemon
