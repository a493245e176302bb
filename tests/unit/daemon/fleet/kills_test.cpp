// What was killed here, and a registry that is restored from before that.
#include "core/local_action.h"
#include "core/process_status.h"
#include "core/records.h"
#include "daemon/fleet/kills.h"
#include "state/disk.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

namespace p2prc::daemon {
namespace {

class KillsTest : public testing::Test {
  protected:
    KillsTest() {
        replica = std::move(*state::Replica::open((directory.path() / "replica.db").string(), disk));
        own = std::move(*state::OwnState::open((directory.path() / "own.db").string(), disk));
        kills.emplace(*replica, *own, [] { return std::string("home"); });
        replica->reset("before", 9, {fleet()});
    }

    static state::Change fleet(const char* id = "f1") {
        FleetRecord record;
        record.id = id;
        return {std::string(keys::fleet), to_json(record), 1};
    }
    static state::Change record(std::uint32_t id, const std::string& name, const char* node = "home") {
        ProcessRecord process;
        process.id = id;
        process.name = process.spec.name = name;
        process.node = node;
        process.spec.run.command = {"/bin/true"};
        process.unknown["local_sequence"] = 3;
        return {keys::process(name), to_json(process), 1};
    }
    void report(std::uint32_t id, const std::string& name, ProcessState state, StopKind kind,
                const char* node = "home") {
        ProcessStatus status;
        status.id = id;
        status.name = name;
        status.node = node;
        status.state = state;
        status.reason.emplace().kind = kind;
        status.reason->by = "alice@root";
        own->set(keys::status(node, id), status_to_json(status));
    }
    void kill(std::uint32_t id, const std::string& name) {
        report(id, name, ProcessState::Running, StopKind::ExitCode);
        report(id, name, ProcessState::Stopped, StopKind::Killed);
        own->erase(keys::status("home", id));
    }
    std::vector<std::string> keys_of(std::string_view prefix) const {
        std::vector<std::string> keys;
        for (const auto& [key, document] : own->range(prefix))
            keys.emplace_back(key);
        return keys;
    }

    net::TemporaryDirectory directory;
    state::Disk disk;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
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
