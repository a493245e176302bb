#include "process/availability.h"

#include <gtest/gtest.h>

namespace p2prc::process {
namespace {

struct Case {
    ProcessRecord record;
    ProcessStatus status;
    LocalAction local;

    Case() {
        record.id = 7;
        record.change = 3;
        status.applied = 3;
        status.boot_id = "now";
        status.state = ProcessState::Running;
        status.invocation = status.ready_run = "run";
        local.id = 7;
        local.sequence = 1;
    }
    Availability of() const { return availability(record, nullptr, &status, "now"); }
    Availability in(ProcessState state) {
        status.state = state;
        return of();
    }
    Availability after(const std::string& action) {
        local.action = action;
        return availability(record, &local, &status, "now");
    }
};

// Also where a restart was asked for meanwhile: nobody knows when it goes on.
TEST(Availability, WhatIsPausedIsNotOnItsWay) {
    Case c;
    EXPECT_EQ(c.in(ProcessState::Paused), Availability::Stopped);
    c.status.pid = 100;
    c.status.boot_id = "before";
    EXPECT_EQ(c.of(), Availability::Stopped);
    EXPECT_EQ(c.after("restart"), Availability::Stopped);
}

TEST(Availability, IsComingUntilThisRunIsReady) {
    Case c;
    EXPECT_EQ(c.of(), Availability::Running);
    c.status.ready_run = "the run before";
    EXPECT_EQ(c.of(), Availability::Coming);
    EXPECT_EQ(availability(c.record, nullptr, nullptr, "now"), Availability::Coming) << "just spun";
}

TEST(Availability, IsComingWhileARestartIsUnderWay) {
    Case c;
    EXPECT_EQ(c.in(ProcessState::Stopping), Availability::Coming);
    EXPECT_EQ(c.in(ProcessState::Starting), Availability::Coming);
    // Asked for, and not acted upon yet: in each of its steps.
    c.record.change = 4;
    for (const auto state : {ProcessState::Running, ProcessState::Stopping, ProcessState::Stopped,
                             ProcessState::Failed, ProcessState::Starting})
        EXPECT_EQ(c.in(state), Availability::Coming) << process_state_name(state);
}

TEST(Availability, IsComingOnceTheMachineHasBooted) {
    Case c;
    c.status.boot_id = "before";
    for (const auto state :
         {ProcessState::Running, ProcessState::Stopping, ProcessState::Starting, ProcessState::Failed})
        EXPECT_EQ(c.in(state), Availability::Coming) << process_state_name(state);
    EXPECT_EQ(c.in(ProcessState::Stopped), Availability::Stopped) << "it had finished";
}

TEST(Availability, IsNotComingWhatIsStoppedOrHasFailed) {
    Case c;
    EXPECT_EQ(c.in(ProcessState::Stopped), Availability::Stopped);
    EXPECT_EQ(c.in(ProcessState::Failed), Availability::Failed) << "the next attempt may be a minute away";
    EXPECT_EQ(c.in(ProcessState::Lost), Availability::Failed);
    // From the moment that it is asked for.
    c.record.desired = Desired::Stopped;
    c.record.change = 4;
    for (const auto state :
         {ProcessState::Running, ProcessState::Stopping, ProcessState::Starting, ProcessState::Failed})
        EXPECT_EQ(c.in(state), Availability::Stopped) << process_state_name(state);
}

TEST(Availability, KnowsWhatWasAskedForWhileTheRootIsAway) {
    Case c;
    EXPECT_EQ(c.after("stop"), Availability::Stopped);
    EXPECT_EQ(c.after("kill"), Availability::Stopped);
    EXPECT_EQ(c.after("restart"), Availability::Coming);
    c.status.state = ProcessState::Stopped;
    EXPECT_EQ(c.after("start"), Availability::Coming);
}

TEST(Availability, DoesNotFollowTheRecordOfAnOlderCopy) {
    Case c;
    c.status.applied = 5;
    EXPECT_EQ(c.of(), Availability::Running);
    EXPECT_EQ(c.in(ProcessState::Stopped), Availability::Stopped);
    c.record.desired = Desired::Stopped;
    EXPECT_EQ(c.in(ProcessState::Running), Availability::Running);
}

} // namespace
} // namespace p2prc::process
