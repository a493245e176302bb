// What was asked for here while the root was away.
#include "tests/unit/process/reconciler_fixture.h"

namespace p2prc::process {
namespace {

TEST_F(ReconcilerTest, LocalStopCountsBeforeTheRegistryKnows) {
    start();
    auto web = record();
    want(web);
    own->set("/local/home1/7", {{"id", 7}, {"action", "stop"}, {"sequence", 1}, {"by", "carol@home1"}});
    run();
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "carol@home1");
    // The registry takes it in: nothing more to do.
    web.desired = Desired::Stopped;
    web.change = 2;
    web.unknown["local_sequence"] = 1;
    systemd.calls.clear();
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_TRUE(systemd.calls.empty());
    EXPECT_FALSE(own->get("/local/home1/7"));
}

TEST_F(ReconcilerTest, LocalActionOfAProcessThatIsGoneMeetsNoOther) {
    own->set("/local/home1/7", {{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "carol@home1"}});
    own->set("/local/elsewhere/7",
             {{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "carol@elsewhere"}});
    start();
    want(record(6, "mail")); // the fleet's state is there, and has no process 7
    EXPECT_FALSE(own->get("/local/home1/7"));
    EXPECT_FALSE(own->get("/local/elsewhere/7"));
    want(record());
    expect(ProcessState::Running);
}

TEST_F(ReconcilerTest, LocalRestartIsNotRepeatedWhenTheRegistryTakesItIn) {
    start();
    auto web = record();
    want(web);
    own->set("/local/home1/7", {{"id", 7}, {"action", "restart"}, {"sequence", 1}, {"by", "carol@home1"}});
    run();
    EXPECT_EQ(count("start " + unit), 2);
    web.change = 2;
    web.unknown["local_sequence"] = 1;
    want(web);
    EXPECT_EQ(count("start " + unit), 2);
    expect(ProcessState::Running);
}

TEST_F(ReconcilerTest, LocalKillEndsItAndTheOldRecordDoesNotBringItBack) {
    start();
    want(record());
    own->set("/local/home1/7", {{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "carol@home1"}});
    run();
    expect(ProcessState::Stopped, StopKind::Killed);
    daemon_restart(true);
    expect(ProcessState::Stopped, StopKind::Killed);
    EXPECT_TRUE(systemd.calls.empty());
}

// A registry that was restored has the one that was killed, and not the one that was spun since.
TEST_F(ReconcilerTest, AKillOfAnIdLeavesAloneWhatWasSpunSinceFromTheSameFile) {
    start();
    want(record(9));
    systemd.calls.clear();
    own->set("/local/home1/7", {{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "carol@home1"}});
    want(record(7));
    expect(ProcessState::Stopped, StopKind::Killed, 7);
    EXPECT_EQ(status(7)->reason->by, "carol@home1");
    expect(ProcessState::Running, {}, 9);
    want(record(9)); // taken in, and taken back
    expect(ProcessState::Running, {}, 9);
    EXPECT_FALSE(status(7));
    EXPECT_FALSE(own->get("/local/home1/7"));
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, LocalKillEndsWhatRunsUnderAnEarlierId) {
    start();
    want(record(9));
    want(record(7)); // the same by its digest
    expect(ProcessState::Running);
    own->set("/local/home1/7", {{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "carol@home1"}});
    run();
    expect(ProcessState::Stopped, StopKind::Killed);
    EXPECT_EQ(count("stop " + unit), 1);
}

} // namespace
} // namespace p2prc::process
