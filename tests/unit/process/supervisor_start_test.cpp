// What comes before a start, and starts that fail.
#include "tests/unit/process/reconciler_fixture.h"

#include <unistd.h>

namespace p2prc::process {
namespace {

// The superuser's own is left alone: only what has another owner is given back first.
TEST_F(ReconcilerTest, DataThatWasCopiedByHandIsGivenToItsProcess) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
    const auto data = directory / "private/web";
    fs::create_directories(data);
    start();
    state::Origins(*own).note(record().spec);
    ASSERT_EQ(chown(data.c_str(), 61184, 61184), 0);
    auto web = record();
    want(web);
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"start p2prcd-data-web.service", "start " + unit}));
    systemd.calls.clear();
    ++web.change; // restarted
    want(web);
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"stop " + unit, "start " + unit}));
}

TEST_F(ReconcilerTest, DataOfAUserIsGivenBackOnlyWhenItIsTakenOver) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
    const auto data = directory / "data/web";
    fs::create_directories(data);
    start();
    auto web = record();
    web.spec.run.user = "anna";
    web.digest = spec_digest(web.spec);
    state::Origins(*own).note(web.spec);
    ASSERT_EQ(chown(data.c_str(), 1000, 1000), 0);
    want(web);
    EXPECT_EQ(count("start p2prcd-data-web.service"), 1);
    web.desired = Desired::Stopped;
    ++web.change;
    want(web);
    web.desired = Desired::Running;
    ++web.change;
    want(web);
    EXPECT_EQ(count("start " + unit), 2);
    EXPECT_EQ(count("start p2prcd-data-web.service"), 1);
}

TEST_F(ReconcilerTest, FailedStartKeepsItsReason) {
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    start();
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->code, 203);
    EXPECT_EQ(status()->reason->step, "EXEC");
    EXPECT_EQ(count("start " + unit), 1);
}

// systemd names the condition alone, in which its child may fail at any step.
TEST_F(ReconcilerTest, FailedConditionIsExplainedByTheLog) {
    systemd.fail_start_with = UnitResult{"exec-condition", 0, 0, ""};
    start();
    journal.lines = {
        "p2prc-web.service: Failed at step USER spawning /usr/libexec/p2prc/p2prcd-ports: No such "
        "process"};
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->code, 217);
    EXPECT_EQ(status()->reason->step, "USER");
    EXPECT_EQ(status()->reason->log, journal.lines);
    journal.lines = {
        "p2prcd-ports: cannot attach a BPF program to the control group: Operation not permitted"};
    want(record(8, "mail"));
    expect(ProcessState::Failed, StopKind::StartFailed, 8);
    EXPECT_EQ(status(8)->reason->step, "PORTS");
}

TEST_F(ReconcilerTest, RefusedByTheManager) {
    systemd.refuse_start = Error{ErrorCode::Failed, "Cannot set property X"};
    start();
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "unit");
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, AdoptsItsOwnUnitThatWasNotKnown) {
    UnitView early;
    early.unit = unit;
    early.active_state = "active";
    early.invocation = "early";
    early.process = 7;
    early.digest = record().digest;
    early.restarts = 1;
    systemd.unlisted[unit] = early;
    journal.logged = LoggedEnd{"earlier", {"exit-code", CLD_EXITED, 7, ""}, true, 1};
    start();
    want(record());
    expect(ProcessState::Running, StopKind::ExitCode);
    EXPECT_EQ(status()->invocation, "early");
    EXPECT_EQ(status()->restarts, 1u);
    EXPECT_EQ(systemd.calls, std::vector<std::string>{"start " + unit});
}

TEST_F(ReconcilerTest, AnothersUnitOfItsNameIsAConflict) {
    UnitView others;
    others.unit = unit;
    others.active_state = "active";
    systemd.unlisted[unit] = others;
    start();
    auto web = record();
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "unit");
    // When that is gone it starts, if somebody asks.
    systemd.unlisted.clear();
    web.change = 2;
    want(web);
    expect(ProcessState::Running);
}

TEST_F(ReconcilerTest, AnotherProcessUnderItsNameIsNotStopped) {
    UnitView others;
    others.unit = unit;
    others.active_state = "active";
    others.process = 3;
    others.digest = "another";
    systemd.unlisted[unit] = others;
    start();
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "name");
    EXPECT_EQ(count("stop " + unit), 0);
}

TEST_F(ReconcilerTest, APortOfAnotherProgramIsAReasonNotToStart) {
    held_port = 8000;
    start();
    auto wanted = record();
    wanted.port = wanted.spec.port = 8000;
    wanted.digest = spec_digest(wanted.spec);
    want(wanted);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "port");
    EXPECT_EQ(status()->reason->detail, "port 8000 is held by python3 (admin.service)");
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, NameOfAUnitFileIsRefused) {
    std::fclose(std::fopen((directory / "units" / unit).c_str(), "w"));
    start();
    const auto refused = reconciler->check_spec(record().spec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::InvalidSpec);
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, RemoteSpecIsHeldToThePolicy) {
    start();
    auto web = record();
    // The record says that it was asked for here: that is the root's word, which a conqueror may have forged.
    web.created_by = "alice@home1";
    web.spec.run.user = "root";
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, WhatWasSpunHereIsNotHeldToThePolicyAndNothingElseThatIsLikeIt) {
    start();
    auto web = record();
    web.spec.run.user = "root";
    EXPECT_TRUE(state::Origins(*own).note(web.spec));
    state::Origins(*own).bind(web.spec, {web.id, 1}, nullptr);
    auto forged = web;
    forged.spec.run.command = {"/usr/bin/worse"};
    want(forged);
    expect(ProcessState::Failed, StopKind::StartFailed);
    forged = web;
    forged.id = 8;
    want(forged);
    expect(ProcessState::Failed, StopKind::StartFailed, 8);
    EXPECT_TRUE(systemd.calls.empty());
    web.change = 5;
    want(web);
    expect(ProcessState::Running);
}

} // namespace
} // namespace p2prc::process
