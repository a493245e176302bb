#include "process/plan.h"

#include <gtest/gtest.h>

namespace p2prc::process {
namespace {

struct Case {
    ProcessRecord record;
    ProcessStatus status;
    UnitView unit;

    Case() {
        record.id = 7;
        status.applied = 1;
        status.state = ProcessState::Running;
        status.boot_id = "now";
        unit.process = 7;
        unit.active_state = "active";
    }
    Situation situation() const {
        Situation now;
        now.record = &record;
        now.status = &status;
        now.unit = &unit;
        now.boot_id = "now";
        return now;
    }
};

TEST(Plan, WatchesWhatRunsAsWanted) {
    EXPECT_EQ(plan(Case().situation()), Act::Observe);
}

TEST(Plan, RestartsOnAnUnappliedChangeOnly) {
    Case c;
    c.record.change = 2;
    EXPECT_EQ(plan(c.situation()), Act::Restart);
    auto without_status = c.situation();
    without_status.status = nullptr;
    EXPECT_EQ(plan(without_status), Act::Observe);
}

TEST(Plan, ARecordOfBeforeWhatWasDoneUndoesNothing) {
    Case c;
    c.status.applied = 3;
    EXPECT_EQ(plan(c.situation()), Act::Observe);
    c.record.desired = Desired::Stopped;
    EXPECT_EQ(plan(c.situation()), Act::Observe);
    c.record.desired = Desired::Running;
    c.status.state = ProcessState::Stopped;
    c.status.reason = StopReason{.kind = StopKind::Stopped};
    auto now = c.situation();
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Nothing);
}

// Nobody changed it so often: the number came from a root in the wrong hands, or is its damage.
TEST(Plan, AnAppliedChangeThatNobodyMadeIsNotBelieved) {
    Case c;
    c.status.applied = std::uint64_t{1} << 53;
    EXPECT_EQ(plan(c.situation()), Act::Restart);
    c.record.desired = Desired::Stopped;
    EXPECT_EQ(plan(c.situation()), Act::Stop);
    c.status.applied = c.record.change + (1U << 30);
    EXPECT_EQ(plan(c.situation()), Act::Observe);
    c.status.applied += 1;
    EXPECT_EQ(plan(c.situation()), Act::Stop);
}

TEST(Plan, FailureOfThisBootIsNotTriedAgain) {
    Case c;
    c.status.state = ProcessState::Failed;
    auto now = c.situation();
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Nothing);
    c.status.boot_id = "before";
    EXPECT_EQ(plan(now), Act::Start);
}

TEST(Plan, InterruptedStartIsDoneAgain) {
    Case c;
    c.status.state = ProcessState::Starting;
    auto now = c.situation();
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Start);
}

TEST(Plan, WhatIsPausedIsFrozenOrHeld) {
    Case c;
    auto now = c.situation();
    now.paused = true;
    EXPECT_EQ(plan(now), Act::Pause);
    c.unit.active_state = "deactivating";
    EXPECT_EQ(plan(now), Act::Observe) << "it is about to end";
    c.unit.active_state = "active";
    c.unit.frozen = true;
    EXPECT_EQ(plan(now), Act::Hold);
    c.record.change = 2;
    EXPECT_EQ(plan(now), Act::Hold) << "a restart is for later";
    now.killed = true;
    EXPECT_EQ(plan(now), Act::Kill);
    now.killed = false;
    c.record.desired = Desired::Stopped;
    EXPECT_EQ(plan(now), Act::Stop);

    c = Case();
    c.unit.frozen = true;
    c.status.state = ProcessState::Paused;
    c.status.pid = 100;
    c.record.change = 2;
    EXPECT_EQ(plan(c.situation()), Act::Resume) << "and the restart after that";
    auto over = c.situation();
    over.unit = nullptr;
    over.paused = true;
    EXPECT_EQ(plan(over), Act::Conclude) << "somebody ended it";
    c.status.boot_id = "before";
    EXPECT_EQ(plan(over), Act::Hold);
    c.status.boot_id = "now";
    c.status.pid = 0;
    over.paused = false;
    c.record.change = 1;
    EXPECT_EQ(plan(over), Act::Start);
    // A resume does not start what had failed for good.
    over.paused = true;
    c.status.state = ProcessState::Failed;
    c.status.reason = StopReason{.kind = StopKind::ExitCode};
    EXPECT_EQ(plan(over), Act::Hold) << "it would be tried again";
    c.record.spec.run.restart = Restart::No;
    EXPECT_EQ(plan(over), Act::Nothing);
}

TEST(Plan, AStrangerUnderTheNameIsNotTouched) {
    Case c;
    auto now = c.situation();
    now.same_process = false;
    EXPECT_EQ(plan(now), Act::Occupied);
    now.killed = true;
    EXPECT_EQ(plan(now), Act::Kill);
}

TEST(Plan, WithoutARecordNothingIsStopped) {
    Case c;
    auto now = c.situation();
    now.record = nullptr;
    now.status = nullptr;
    EXPECT_EQ(plan(now), Act::Observe);
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Nothing);
}

// Something was executed, and p2prcd did not see it become ready or end.
TEST(Plan, ARunThatEndedBeforeItWasReadyIsConcluded) {
    Case c;
    c.status.state = ProcessState::Starting;
    c.status.pid = 100;
    auto now = c.situation();
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Conclude);
    c.record.desired = Desired::Stopped;
    c.status.applied = c.record.change;
    EXPECT_EQ(plan(now), Act::Conclude);
}

TEST(Plan, ALaterEpochElsewhereFencesAndAnEarlierOneStartsNothing) {
    Case c;
    ProcessRecord elsewhere = c.record;
    elsewhere.node = "home2";
    elsewhere.epoch = 4;
    auto now = c.situation();
    now.record = nullptr;
    now.elsewhere = &elsewhere;
    EXPECT_EQ(plan(now), Act::Fence);
    now.unit = nullptr;
    EXPECT_EQ(plan(now), Act::Fence);
    now.killed = true;
    now.unit = &c.unit;
    EXPECT_EQ(plan(now), Act::Kill);

    c.status.state = ProcessState::Stopped;
    c.status.reason = StopReason{.kind = StopKind::Fenced};
    c.status.epoch = 4;
    c.record.change = 9; // asked for anew
    auto again = c.situation();
    again.unit = nullptr;
    for (const std::uint64_t epoch : {1, 3, 4}) {
        c.record.epoch = epoch;
        EXPECT_EQ(plan(again), Act::Nothing) << epoch;
    }
    c.record.epoch = 5;
    EXPECT_EQ(plan(again), Act::Start);
}

TEST(WantedOf, PrefersALocalActionThatTheRegistryDoesNotKnow) {
    ProcessRecord record;
    record.id = 7;
    record.change = 4;
    LocalAction local{7, "stop", 3, "carol@home1"};
    record.unknown["local_sequence"] = 2;
    EXPECT_EQ(wanted(record, &local).desired, Desired::Stopped);
    EXPECT_EQ(wanted(record, &local).change, 5u);
    record.unknown["local_sequence"] = 3;
    EXPECT_EQ(wanted(record, &local).desired, Desired::Running);
    EXPECT_EQ(wanted(record, &local).change, 4u);
}

} // namespace
} // namespace p2prc::process
