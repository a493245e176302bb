// In which slices processes run, by who has spun them.
#include "process/owner_failure.h"
#include "state/owner_limits.h"
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

namespace p2prc::process {
namespace {

TEST(OwnerSlices, HaveNamesBelowTheSliceOfAllProcesses) {
    EXPECT_EQ(owner_slice("attic"), "p2prc-attic.slice");
    EXPECT_EQ(owner_slice("big-attic"), "p2prc-big\\x2dattic.slice");
    for (const auto* slice : {"p2prc.slice", "p2prc-attic.slice", "p2prc-big\\x2dattic.slice"})
        EXPECT_TRUE(is_process_slice(slice)) << slice;
    for (const auto* slice : {"", "system.slice", "p2prc", "p2prcd.slice", "p2prc-attic.service"})
        EXPECT_FALSE(is_process_slice(slice)) << slice;
}

// UNIT_NAME_MAX, and NAME_MAX of its directory.
TEST(OwnerSlices, HaveNamesThatFit) {
    EXPECT_LE(owner_slice("a" + std::string(40, '-') + "z").size(), 255U);
    const auto long_one = owner_slice(std::string(300, 'a'));
    EXPECT_LE(long_one.size(), 255U);
    EXPECT_NE(long_one, owner_slice(std::string(301, 'a')));
}

// What only a faulty registry calls a node.
TEST(OwnerSlices, OfNoNodeAreStillBelow) {
    for (const auto* name : {"", "-", "a--", "../etc", "a/b", "\xc3\xa9", "p2prc.slice"}) {
        const auto slice = owner_slice(name);
        EXPECT_TRUE(slice.starts_with("p2prc-_")) << slice;
        EXPECT_EQ(slice.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-."), std::string::npos)
            << slice;
        EXPECT_EQ(slice.find("--"), std::string::npos) << slice;
    }
}

class OwnerSlicesTest : public RetryTest {
  protected:
    std::string slice_of(const std::string& name) const {
        for (const auto& property : systemd.started.at(name))
            if (property.name == "Slice") return property.value.get<std::string>();
        return "none";
    }
    ProcessRecord remote(std::uint32_t id, const std::string& name, const std::string& node) {
        auto result = record(id, name);
        result.created_by = "eve@" + node;
        return result;
    }
};

TEST_F(OwnerSlicesTest, EachOwnersProcessesAreInItsOwn) {
    start();
    const auto mine = record();
    state::Origins(*own).note(mine.spec);
    want(mine);
    want(remote(8, "game", "den"));
    want(remote(9, "chess", "big-attic"));
    EXPECT_EQ(slice_of(unit), "p2prc.slice");
    EXPECT_EQ(slice_of("p2prc-game.service"), "p2prc-den.slice");
    EXPECT_EQ(slice_of("p2prc-chess.service"), "p2prc-big\\x2dattic.slice");
    // A registry that says so does not make it this node's own.
    auto claimed = remote(10, "claimed", "home1");
    want(claimed);
    EXPECT_EQ(slice_of("p2prc-claimed.service"), "p2prc-home1.slice");
}

TEST_F(OwnerSlicesTest, WhatRunsInTheOldOneStaysUntilItsNextStart) {
    start();
    want(remote(8, "game", "den"));
    daemon_restart();
    EXPECT_EQ(count("start p2prc-game.service"), 0);
}

class OwnerLimitsTest : public OwnerSlicesTest {
  protected:
    void limit(const std::string& node, std::uint32_t tasks) {
        state::OwnerLimits(*own).set(node, {{.tasks = tasks}, "bob@home1", "2026-01-02T03:04:05Z"});
    }
    nlohmann::json set(const std::string& slice, const std::string& name) const {
        for (const auto& property : systemd.changed_properties.at(slice))
            if (property.name == name) return property.value;
        return nullptr;
    }
};

TEST_F(OwnerLimitsTest, AreSetAnewBeforeAnythingStarts) {
    commit(keys::process("game"), to_json(remote(8, "game", "den")));
    limit("den", 5);
    limit("big-attic", 6);
    start();
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"set p2prc-big\\x2dattic.slice", "set p2prc-den.slice",
                                                       "start p2prc-game.service"}));
    EXPECT_EQ(set("p2prc-den.slice", "TasksMax"), 5);
    EXPECT_EQ(set("p2prc-den.slice", "MemoryMax"), UINT64_MAX);
    daemon_restart(true);
    EXPECT_EQ(systemd.calls.front(), "set p2prc-big\\x2dattic.slice");
    EXPECT_EQ(systemd.calls.back(), "start p2prc-game.service");
}

TEST_F(OwnerLimitsTest, AreNamedInTheReasonOfWhatTheyMayHaveEnded) {
    start();
    limit("den", 5);
    auto game = remote(8, "game", "den");
    game.spec.run.restart = Restart::No;
    game.digest = spec_digest(game.spec);
    want(game);
    journal.lines = {"sh: 1: Cannot fork"};
    systemd.end("p2prc-game.service", {"exit-code", CLD_EXITED, 2, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode, 8);
    EXPECT_EQ(status(8)->reason->detail, "all that 'den' has spun on this machine may have 5 tasks together");
}

TEST(OwnerFailure, IsNamedWhereALimitFits) {
    const LimitsSpec limits{.memory_bytes = 2ULL << 30, .tasks = 32};
    StopReason reason;
    reason.kind = StopKind::OomKill;
    EXPECT_EQ(owner_failure(reason, limits, "den"),
              "all that 'den' has spun on this machine may use 2048 MiB of memory together");
    EXPECT_EQ(owner_failure(reason, {.tasks = 32}, "den"), "");
    reason.kind = StopKind::StartLimit;
    reason.cause = StopKind::OomKill;
    EXPECT_NE(owner_failure(reason, limits, "den"), "");
    reason.cause = StopKind::ExitCode;
    EXPECT_EQ(owner_failure(reason, limits, "den"), "") << "it says nothing of a fork";
    reason.log = {"BlockingIOError: [Errno 11] Resource temporarily unavailable"};
    EXPECT_NE(owner_failure(reason, limits, "den"), "");
    EXPECT_EQ(owner_failure(reason, {.memory_bytes = 1ULL << 30}, "den"), "");
    reason.kind = StopKind::Stopped;
    EXPECT_EQ(owner_failure(reason, limits, "den"), "");
}

TEST_F(OwnerLimitsTest, FollowANodeToItsOtherName) {
    NodeRecord den;
    den.name = "den";
    den.key = std::string(64, 'd');
    start();
    limit("den", 5);
    commit(keys::node("den"), to_json(den));
    EXPECT_TRUE(systemd.calls.empty());
    commit(keys::node("den"), std::nullopt);
    den.name = "cave";
    commit(keys::node("cave"), to_json(den));
    // In the slice where it has them: what runs there, and what it spins now, have them together.
    want(remote(9, "chess", "cave"));
    EXPECT_EQ(slice_of("p2prc-chess.service"), "p2prc-den.slice");
    daemon_restart(true);
    EXPECT_EQ(systemd.calls.front(), "set p2prc-den.slice");
    EXPECT_EQ(set("p2prc-den.slice", "TasksMax"), 5);
}

TEST_F(OwnerLimitsTest, NothingStartsWithoutThem) {
    commit(keys::process("game"), to_json(remote(8, "game", "den")));
    commit(keys::process("web"), to_json(remote(7, "web", "cave")));
    limit("den", 5);
    systemd.refuse_set = Error{ErrorCode::Failed, "systemd says no", ""};
    start();
    EXPECT_EQ(count("start p2prc-game.service"), 0);
    EXPECT_EQ(count("start p2prc-web.service"), 1) << "it has none";
    expect(ProcessState::Starting, {}, 8);
    EXPECT_NE(status(8)->waits_for.find("systemd says no"), std::string::npos) << status(8)->waits_for;
    EXPECT_EQ(
        std::ranges::count_if(warnings, [](const auto& text) { return text.contains("not in effect"); }), 1);
    systemd.refuse_set.reset();
    loop.restart();
    EXPECT_TRUE(test::eventually(loop, [&] { return count("start p2prc-game.service") == 1; }));
    run();
    EXPECT_EQ(count("start p2prc-game.service"), 1);
    expect(ProcessState::Running, {}, 8);
}

} // namespace
} // namespace p2prc::process
