// What the owner of the machine has paused.
#include "state/pauses.h"
#include "tests/unit/process/reconciler_fixture.h"

namespace p2prc::process {
namespace {

class PauseTest : public ReconcilerTest {
  protected:
    void pause(const ProcessRecord& process) {
        state::Pauses(*own).pause(process, {"bob@home1", "2026-01-02T03:04:05Z"});
        run();
    }
    void resume(const ProcessRecord& process) {
        EXPECT_TRUE(state::Pauses(*own).resume(process));
        run();
    }
    void expect_paused(bool frozen) {
        expect(ProcessState::Paused, StopKind::Paused);
        EXPECT_EQ(status()->reason->by, "bob@home1");
        EXPECT_EQ(status()->reason->at, "2026-01-02T03:04:05Z");
        EXPECT_EQ(status()->reason->node, "home1");
        EXPECT_EQ(status()->pid != 0, frozen);
        EXPECT_EQ(is_executed(*status()), frozen);
    }
    // As another node has asked for it.
    ProcessRecord remote(std::uint32_t id, const std::string& name, const std::string& node) {
        auto result = record(id, name);
        result.created_by = "eve@" + node;
        return result;
    }
};

TEST_F(PauseTest, WhatRunsIsFrozenAndGoesOnWhereItWas) {
    start();
    want(record());
    const auto before = *status();
    pause(record());
    expect_paused(true);
    EXPECT_EQ(systemd.calls.back(), "freeze " + unit);
    resume(record());
    expect(ProcessState::Running);
    EXPECT_EQ(status()->invocation, before.invocation);
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"start " + unit, "freeze " + unit, "thaw " + unit}));
    EXPECT_EQ(status()->reason->kind, StopKind::Paused) << "of the last stop";
}

// Ids begin anew in another registry.
TEST_F(PauseTest, IsOfAProcessWhateverIdItHas) {
    start();
    auto web = record(3);
    want(web);
    pause(web);
    // The node has joined another fleet, and another name.
    web.id = 9;
    web.former_ids = {3};
    want(web);
    reconciler->set_node("den");
    run();
    web.node = "den";
    want(web);
    EXPECT_TRUE(state::Pauses(*own).of(web, "den"));
    EXPECT_EQ(own->get(keys::paused("web"))->value("id", 0), 9);
    // It was killed, and one with its first number is another.
    commit(keys::process("web"), std::nullopt);
    commit(keys::tombstone(9), to_json(Tombstone{9, "web", "den", "bob@root", "now", {3}}));
    EXPECT_FALSE(own->get(keys::paused("web")));
    commit(keys::tombstone(9), std::nullopt);
    auto next = record(3);
    next.node = "den";
    want(next);
    EXPECT_FALSE(state::Pauses(*own).of(next, "den"));
}

TEST_F(PauseTest, OfAnotherNumberIsForgottenWithTheProcess) {
    start();
    auto web = record(9);
    web.former_ids = {3};
    // As noted by an earlier version.
    own->set(keys::paused("web"), Json{{"schema", 1}, {"by", "bob@home1"}, {"at", "now"}, {"id", 3}});
    commit(keys::tombstone(9), to_json(Tombstone{9, "web", "home1", "bob@root", "now", {3}}));
    EXPECT_FALSE(own->get(keys::paused("web")));
}

TEST_F(PauseTest, OutlivesTheDaemonAndTheMachine) {
    start();
    want(record());
    pause(record());
    daemon_restart();
    expect_paused(true);
    EXPECT_TRUE(systemd.calls.empty());
    daemon_restart(true);
    expect_paused(false);
    EXPECT_TRUE(systemd.calls.empty()) << "it is not started";
    resume(record());
    expect(ProcessState::Running);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(PauseTest, AResumeThatWasNotDoneYetIsDoneAfterADaemonRestart) {
    start();
    want(record());
    pause(record());
    reconciler.reset();
    EXPECT_TRUE(state::Pauses(*own).resume(record()));
    daemon_restart();
    expect(ProcessState::Running);
    EXPECT_EQ(systemd.calls, std::vector<std::string>{"thaw " + unit});
}

TEST_F(PauseTest, WhatOthersFreezeIsLeftAlone) {
    start();
    want(record());
    systemd.set_frozen(unit, true);
    run();
    expect(ProcessState::Running);
    EXPECT_EQ(count("thaw " + unit), 0);
}

TEST_F(PauseTest, AWatchdogWouldEndItSoItIsStopped) {
    start();
    want(record());
    systemd.loaded.at(unit).watchdog_usec = 1'000'000;
    pause(record());
    expect_paused(false);
    EXPECT_EQ(count("freeze " + unit), 0);
    EXPECT_EQ(count("stop " + unit), 1);
    EXPECT_NE(status()->reason->detail.find("it has a watchdog"), std::string::npos);
    EXPECT_EQ(count("start " + unit), 1);
    resume(record());
    expect(ProcessState::Running);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(PauseTest, WhatCannotBeFrozenIsStopped) {
    start();
    want(record());
    systemd.refuse_freeze = Error{ErrorCode::NotSupported, "no freezer"};
    pause(record());
    expect_paused(false);
    EXPECT_NE(status()->reason->detail.find("no freezer"), std::string::npos);
}

TEST_F(PauseTest, AStopAndAKillWork) {
    start();
    auto web = record();
    want(web);
    pause(web);
    web.desired = Desired::Stopped;
    web.change = 2;
    web.changed_by = "alice@home2";
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "alice@home2");
    web.desired = Desired::Running;
    web.change = 3;
    want(web);
    expect_paused(false);
    EXPECT_EQ(count("start " + unit), 1) << "still paused";
    kill(7, "web");
    expect(ProcessState::Stopped, StopKind::Killed);
    EXPECT_FALSE(own->get(keys::paused("web"))) << "forgotten with it";
    want(record(8));
    expect(ProcessState::Running, {}, 8);
}

TEST_F(PauseTest, ARestartIsDoneWhenItIsResumed) {
    start();
    auto web = record();
    want(web);
    pause(web);
    web.change = 2;
    want(web);
    expect_paused(true);
    EXPECT_EQ(count("stop " + unit), 0);
    resume(web);
    expect(ProcessState::Running);
    EXPECT_EQ(count("stop " + unit), 1);
    EXPECT_EQ(count("start " + unit), 2);
    EXPECT_EQ(status()->applied, 2U);
}

TEST_F(PauseTest, WhatIsSpunMeanwhileOfAnOwnerStaysPaused) {
    start();
    state::Pauses(*own).pause_owner("home2", {"bob@home1", "2026-01-02T03:04:05Z"});
    want(remote(7, "web", "home2"));
    expect_paused(false);
    EXPECT_EQ(status()->reason->owner, "home2");
    EXPECT_TRUE(systemd.calls.empty());
    want(remote(9, "mail", "home3"));
    expect(ProcessState::Running, {}, 9);
    EXPECT_TRUE(state::Pauses(*own).resume_owner("home2"));
    run();
    expect(ProcessState::Running);
}

TEST_F(PauseTest, ItsOwnComesBeforeThatOfItsOwner) {
    start();
    const auto web = remote(7, "web", "home2");
    want(web);
    pause(web);
    state::Pauses(*own).pause_owner("home2", {"carol@home1", "2026-01-02T03:04:06Z"});
    run();
    expect_paused(true);
    resume(web);
    expect(ProcessState::Paused, StopKind::Paused);
    EXPECT_EQ(status()->reason->by, "carol@home1");
    EXPECT_EQ(count("thaw " + unit), 0);
}

TEST_F(PauseTest, WhatHasFinishedStaysFinished) {
    start();
    want(record());
    systemd.end(unit, {"success", CLD_EXITED, 0, ""});
    run();
    expect(ProcessState::Stopped, StopKind::Finished);
    pause(record());
    expect(ProcessState::Stopped, StopKind::Finished);
    resume(record());
    expect(ProcessState::Stopped, StopKind::Finished);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(RetryTest, WhatIsPausedIsNotTriedAgain) {
    first_retry_pause = std::chrono::milliseconds(50);
    start();
    want(record());
    state::Pauses(*own).pause(record(), {"bob@home1", "2026-01-02T03:04:05Z"});
    give_up();
    expect(ProcessState::Paused, StopKind::Paused);
    EXPECT_EQ(count("start " + unit), 1);
    EXPECT_NE(status()->reason->detail.find("it had ended before: "), std::string::npos);
    daemon_restart(true);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(PauseTest, WhatIsKilledWhileItIsFrozenDoesNotComeBack) {
    start();
    want(record());
    pause(record());
    systemd.end(unit, {"signal", CLD_KILLED, SIGKILL, ""});
    run();
    expect_paused(false);
    EXPECT_EQ(count("start " + unit), 1);
    resume(record());
    expect(ProcessState::Running);
}

TEST_F(PauseTest, StaysWithTheProcessUnderAnotherId) {
    start();
    pause(record());
    auto web = record(9);
    web.former_ids = {7};
    want(web);
    EXPECT_EQ(status(9)->state, ProcessState::Paused);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(PauseTest, AnotherProcessOfTheNameIsNotPaused) {
    start();
    pause(record(6));
    want(record());
    expect(ProcessState::Running);
    EXPECT_FALSE(own->get(keys::paused("web")));
}

TEST_F(PauseTest, AnotherNodeThatHasItNowStopsIt) {
    start();
    want(record());
    pause(record());
    auto moved = record();
    moved.node = "home2";
    moved.epoch = 2;
    want(moved);
    expect(ProcessState::Stopped, StopKind::Fenced);
    EXPECT_EQ(count("thaw " + unit), 0);
}

} // namespace
} // namespace p2prc::process
