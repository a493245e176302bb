// What failed too often is tried again.
#include "tests/unit/process/reconciler_fixture.h"

namespace p2prc::process {
namespace {

TEST_F(RetryTest, TellsTheStartLimit) {
    start();
    want(record());
    give_up();
    expect(ProcessState::Failed, StopKind::StartLimit);
    EXPECT_EQ(status()->reason->code, 1);
    EXPECT_NE(status()->reason->detail.find("tried again after 3600 s"), std::string::npos)
        << status()->reason->detail;
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(RetryTest, WhatIsStoppedIsNotSaidToBeTriedAgain) {
    start();
    auto web = record();
    want(web);
    give_up();
    expect(ProcessState::Failed, StopKind::StartLimit);
    web.desired = Desired::Stopped;
    web.change = 2;
    web.changed_by = "bob@root";
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_NE(status()->reason->detail.find("it had ended before: start-limit"), std::string::npos);
    EXPECT_EQ(status()->reason->detail.find("tried again"), std::string::npos) << status()->reason->detail;
}

TEST_F(RetryTest, WhatFailedTooOftenIsTriedAgain) {
    first_retry_pause = std::chrono::milliseconds(300);
    start();
    want(record());
    give_up();
    EXPECT_EQ(count("start " + unit), 2);
    expect(ProcessState::Running, StopKind::StartLimit);
    EXPECT_EQ(status()->applied, 1u);
}

TEST_F(RetryTest, TheNetworkBringsTheNextAttempt) {
    start();
    want(record());
    give_up();
    EXPECT_EQ(count("start " + unit), 1);
    reconciler->network_changed();
    run();
    EXPECT_EQ(count("start " + unit), 2);
    expect(ProcessState::Running);
}

TEST_F(RetryTest, GoesOnAfterARestartOfTheDaemon) {
    start();
    want(record());
    give_up();
    first_retry_pause = std::chrono::milliseconds(100);
    daemon_restart();
    EXPECT_EQ(count("start " + unit), 1);
    expect(ProcessState::Running);
}

TEST_F(RetryTest, WhatWasStoppedMeanwhileStaysDown) {
    start();
    auto web = record();
    want(web);
    give_up();
    web.desired = Desired::Stopped;
    ++web.change;
    want(web);
    reconciler->network_changed();
    run();
    EXPECT_EQ(count("start " + unit), 1);
    expect(ProcessState::Stopped);
}

TEST_F(RetryTest, WhatIsNotToBeRestartedStaysDown) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    web.digest = spec_digest(web.spec);
    want(web);
    give_up();
    reconciler->network_changed();
    run();
    EXPECT_EQ(count("start " + unit), 1);
    expect(ProcessState::Failed, StopKind::ExitCode);
}

TEST_F(RetryTest, EachPauseIsLonger) {
    start();
    want(record());
    give_up();
    reconciler->network_changed();
    run();
    give_up();
    EXPECT_NE(status()->reason->detail.find("tried again after 7200 s"), std::string::npos)
        << status()->reason->detail;
}

// --- what a root says that is not to be trusted

} // namespace
} // namespace p2prc::process
