// How runs ended, seen or not.
#include "core/stop_history.h"
#include "tests/unit/process/reconciler_fixture.h"

#include <unistd.h>

namespace p2prc::process {
namespace {

TEST_F(ReconcilerTest, SaysWhyItEnded) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 3, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->code, 3);
    EXPECT_EQ(status()->reason->log, std::vector<std::string>{"last words"});
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, NeverSaysOfACommandThatEndedAtOnceThatItRuns) {
    std::vector<std::string> states;
    const auto watch = own->subscribe("/status/", [&](std::span<const state::Change> changes) {
        for (const auto& change : changes)
            if (change.value) states.emplace_back(process_state_name(status_from_json(*change.value).state));
    });
    systemd.end_at_once = UnitResult{"exit-code", CLD_EXITED, 1, ""};
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(std::ranges::count(states, "running"), 0);
}

// systemd removes what has ended well at once.
TEST_F(ReconcilerTest, ACommandThatEndsWellAtOnceRunsOnce) {
    systemd.end_at_once = UnitResult{"success", CLD_EXITED, 0, ""};
    start();
    want(record());
    expect(ProcessState::Stopped, StopKind::Finished);
    EXPECT_EQ(count("start " + unit), 1);
}

// It failed in between, or p2prcd was ended: the unit that is still there is that of the run before.
TEST_F(ReconcilerTest, AnOldFailureIsNotThatOfAStartThatDidNotComeAbout) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    web.digest = spec_digest(web.spec);
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    ++web.change;
    systemd.refuse_start = Error{ErrorCode::Unreachable, "systemd is away"};
    commit(keys::process("web"), to_json(web));
    systemd.refuse_start.reset();
    daemon_restart();
    expect(ProcessState::Running);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, TheJournalMayTellOfTheRunBefore) {
    journal.logged = LoggedEnd{"earlier", {"success", CLD_EXITED, 0, ""}, true, 1}; // somebody stopped that
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    start();
    want(record());
    expect(ProcessState::Failed, StopKind::StartFailed);
}

TEST_F(ReconcilerTest, AnEndThatIsShownAgainIsOne) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    const auto failed = systemd.loaded.at(unit);
    systemd.events.resynced({failed}); // somebody has systemd read its units anew, and starts it then
    run();
    systemd.tell(failed);
    auto again = failed;
    again.invocation = "by hand";
    again.active_state = "active";
    again.sub_state = "running";
    again.result = {};
    systemd.tell(again);
    run();
    expect(ProcessState::Running);
    const auto stops = own->get(keys::stops("home1", 7));
    ASSERT_TRUE(stops);
    EXPECT_EQ(stops_from_json(*stops).size(), 1u);
}

// A restart by an administrator, of which p2prcd hears a moment later.
TEST_F(ReconcilerTest, WhoEndedItIsKnownWhenTheNextRunIsThereAlready) {
    start();
    want(record());
    systemd.events.outside_job(unit, true);
    auto ended = systemd.loaded.at(unit);
    auto next = ended;
    ended.active_state = "inactive";
    ended.sub_state = "dead";
    ended.result = {"success", CLD_KILLED, SIGTERM, ""};
    systemd.tell(ended);
    next.invocation = "by hand";
    systemd.tell(next);
    systemd.events.outside_job(unit, false);
    run();
    expect(ProcessState::Running, StopKind::StoppedOutside);
}

TEST_F(ReconcilerTest, WaitsForWhatTheKernelKnowsAlready) {
    const auto child = fork();
    if (child == 0) _exit(1);
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT); // it stays as it is: ended, not reaped
    systemd.main_pid = static_cast<std::uint32_t>(child);
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    expect(ProcessState::Starting);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    waitpid(child, nullptr, 0);
}

TEST_F(ReconcilerTest, WhatHasEndedDoesNotRunWhileItsLastWordsAreRead) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    loop.restart();
    loop.poll();
    expect(ProcessState::Stopping);
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
}

TEST_F(ReconcilerTest, FinishedStaysFinished) {
    start();
    want(record());
    systemd.end(unit, {"success", CLD_EXITED, 0, ""});
    run();
    expect(ProcessState::Stopped, StopKind::Finished);
    daemon_restart(true);
    expect(ProcessState::Stopped, StopKind::Finished);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, NeverReportsThePassingFailureBeforeARestart) {
    start();
    want(record());
    bool failed = false;
    const auto watch = own->subscribe("/status/", [&](std::span<const state::Change> changes) {
        for (const auto& change : changes)
            failed =
                failed || (change.value && status_from_json(*change.value).state == ProcessState::Failed);
    });
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""});
    run();
    expect(ProcessState::Starting, StopKind::Signal);
    systemd.runs_again(unit);
    run();
    expect(ProcessState::Running, StopKind::Signal);
    EXPECT_EQ(status()->restarts, 1u);
    EXPECT_FALSE(failed);
}

TEST_F(ReconcilerTest, WhatItsCommandLeftBehindIsSaid) {
    start();
    want(record());
    auto view = systemd.loaded.at(unit);
    view.active_state = "deactivating";
    view.sub_state = "stop-sigterm";
    view.main_pid = 0;
    view.result = {"success", CLD_EXITED, 0, ""};
    systemd.tell(view);
    systemd.end(unit, {"success", CLD_EXITED, 0, ""});
    run();
    expect(ProcessState::Stopped, StopKind::Finished);
    EXPECT_NE(status()->reason->detail.find("foreground"), std::string::npos) << status()->reason->detail;
}

TEST_F(ReconcilerTest, StopFromOutsideStaysStoppedUntilAsked) {
    start();
    auto web = record();
    want(web);
    systemd.events.outside_job(unit, true);
    systemd.end(unit, {"success", CLD_KILLED, SIGTERM, ""});
    systemd.events.outside_job(unit, false);
    run();
    expect(ProcessState::Stopped, StopKind::StoppedOutside);
    EXPECT_EQ(count("start " + unit), 1);
    web.change = 2;
    want(web);
    expect(ProcessState::Running);
}

TEST_F(ReconcilerTest, AnOutsideJobThatEndsNothingIsForgotten) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.events.outside_job(unit, true);
    systemd.events.outside_job(unit, false);
    systemd.end(unit, {"signal", CLD_KILLED, SIGKILL, ""});
    run();
    expect(ProcessState::Failed, StopKind::Signal);
}

TEST_F(ReconcilerTest, AdoptsWhatRunsAfterARestartOfTheDaemon) {
    start();
    want(record());
    daemon_restart();
    expect(ProcessState::Running);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, AdoptsByDigestUnderANewId) {
    start();
    want(record());
    commit(keys::process("web"), to_json(record(12)));
    expect(ProcessState::Running, {}, 12);
    EXPECT_FALSE(status(7));
    EXPECT_EQ(count("start " + unit), 1);
    EXPECT_EQ(count("stop " + unit), 0);
}

TEST_F(ReconcilerTest, ReadsTheEndThatItMissedFromTheFailedUnit) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    reconciler.reset();
    systemd.events = {};
    systemd.end(unit, {"core-dump", CLD_DUMPED, SIGSEGV, ""});
    start();
    expect(ProcessState::Failed, StopKind::CoreDump);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, ReadsTheEndThatItMissedFromTheJournal) {
    using Logged = std::optional<LoggedEnd>;
    const LoggedEnd finished{"", {"success", CLD_EXITED, 0, ""}, false, 1};
    const LoggedEnd crashed{"", {"core-dump", CLD_DUMPED, SIGSEGV, ""}, false, 1}; // and somebody reset it
    LoggedEnd stopped = finished;
    stopped.stopped = true;
    for (const auto& [logged, kind] :
         {std::pair{Logged(finished), StopKind::Finished}, std::pair{Logged(crashed), StopKind::CoreDump},
          std::pair{Logged(stopped), StopKind::StoppedOutside}, std::pair{Logged(), StopKind::Unknown}}) {
        auto web = record();
        web.spec.run.restart = Restart::No;
        web.change = status() ? status()->applied + 1 : 1;
        start();
        want(web);
        expect(ProcessState::Running);
        reconciler.reset();
        systemd.events = {};
        systemd.end(unit, {"success", CLD_EXITED, 0, ""});
        journal.logged = logged;
        start();
        expect(kind == StopKind::CoreDump ? ProcessState::Failed : ProcessState::Stopped, kind);
        reconciler.reset();
    }
}

TEST_F(ReconcilerTest, RecallsHowARunEndedThatWasRestartedUnseen) {
    start();
    want(record());
    const auto first = status()->invocation;
    reconciler.reset();
    systemd.events = {};
    systemd.crash_and_restart(unit, {"core-dump", CLD_DUMPED, SIGSEGV, ""});
    systemd.runs_again(unit);
    journal.logged = LoggedEnd{first, {"core-dump", CLD_DUMPED, SIGSEGV, ""}, true, 1'000'000};
    start();
    expect(ProcessState::Running, StopKind::CoreDump);
    EXPECT_EQ(status()->reason->signal, "SIGSEGV");
    EXPECT_EQ(status()->reason->log, std::vector<std::string>{"last words"});
    EXPECT_EQ(status()->reason->at.substr(0, 19), "1970-01-01T00:00:01");
    EXPECT_EQ(status()->restarts, 1u);
    EXPECT_NE(status()->invocation, first);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, RecallsARestartByAnAdministrator) {
    start();
    want(record());
    const auto first = status()->invocation;
    daemon_restart();
    EXPECT_FALSE(status()->reason); // the same run goes on
    reconciler.reset();
    systemd.events = {};
    auto again = systemd.loaded.at(unit);
    again.invocation = "another";
    systemd.tell(again);
    journal.logged = LoggedEnd{first, {"success", CLD_EXITED, 0, ""}, true, 1};
    start();
    expect(ProcessState::Running, StopKind::StoppedOutside);
}

TEST_F(ReconcilerTest, FindsAUnitThatWaitsForItsNextRun) {
    start();
    want(record());
    reconciler.reset();
    systemd.events = {};
    systemd.crash_and_restart(unit, {"exit-code", CLD_EXITED, 7, ""});
    start();
    expect(ProcessState::Starting, StopKind::ExitCode);
    systemd.runs_again(unit);
    run();
    expect(ProcessState::Running, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->code, 7);
}

TEST_F(ReconcilerTest, RunsAgainAfterAPowerCut) {
    start();
    want(record());
    daemon_restart(true, false);
    expect(ProcessState::Running, StopKind::PowerLoss);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReconcilerTest, APowerLossSaysAfterWhenAndUntilWhen) {
    start();
    want(record());
    journal.gap = BootGap{1'767'323'045'000'000, 1'767'323'105'000'000};
    daemon_restart(true, false);
    expect(ProcessState::Running, StopKind::PowerLoss);
    EXPECT_EQ(status()->reason->at, "2026-01-02T03:04:05Z")
        << "it stopped when the power went, not at the boot";
    EXPECT_EQ(status()->reason->detail,
              "the machine went off after 2026-01-02T03:04:05Z and was back at 2026-01-02T03:05:05Z");
}

TEST_F(ReconcilerTest, RunsAgainAfterAShutdown) {
    start();
    want(record());
    daemon_restart(true, true);
    expect(ProcessState::Running, StopKind::Shutdown);
}

TEST_F(ReconcilerTest, StoppedStaysStoppedOverABoot) {
    start();
    auto web = record();
    want(web);
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    daemon_restart(true, true);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, AStopThatWasAskedForWhileThePowerWasOffSaysWhoAndHowItEnded) {
    start();
    auto web = record();
    want(web);
    web.desired = Desired::Stopped;
    web.change = 2;
    web.changed_by = "bob@root";
    journal.gap = BootGap{1'767'323'045'000'000, 1'767'323'105'000'000};
    reconciler.reset(); // it hears of it when it is back
    want(web);
    daemon_restart(true, false);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_EQ(status()->reason->detail, "it had ended before: power-loss: the machine went off after "
                                        "2026-01-02T03:04:05Z and was back at 2026-01-02T03:05:05Z");
    EXPECT_EQ(status()->applied, 2u);
    EXPECT_TRUE(systemd.calls.empty());
}

TEST_F(ReconcilerTest, AStopOfWhatNeverRanHereSaysWho) {
    start();
    auto web = record();
    web.desired = Desired::Stopped;
    web.changed_by = "bob@root";
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_EQ(status()->reason->detail, "");
}

// What a registry that was restored from an older copy goes by is the reason.
TEST_F(ReconcilerTest, AStopOfWhatHasEndedSaysWhoAndHowItEnded) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    journal.lines = {"oh no"};
    systemd.end(unit, {"exit-code", CLD_EXITED, 7, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    web.desired = Desired::Stopped;
    web.change = 2;
    web.changed_by = "bob@root";
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_EQ(status()->reason->detail.substr(0, 33), "it had ended before: exit-code 7 ");
    EXPECT_EQ(status()->reason->log, std::vector<std::string>{"oh no"});
    EXPECT_TRUE(stopped_on_request(*status()));
    // Said again, it is not said anew.
    web.change = 4;
    web.changed_by = "carol@root";
    want(web);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_EQ(status()->applied, 4u);
}

TEST_F(ReconcilerTest, AStopOfWhatEndedUnseenSaysHow) {
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    reconciler.reset();
    systemd.loaded.clear();
    journal.logged = LoggedEnd{.result = {"exit-code", CLD_EXITED, 7, ""}};
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    daemon_restart();
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_NE(status()->reason->detail.find("exit-code 7"), std::string::npos) << status()->reason->detail;
}

TEST_F(ReconcilerTest, ConcludesNothingWhileTheSystemStops) {
    start();
    want(record());
    systemd.state = "stopping";
    systemd.events.outside_job(unit, true);
    systemd.end(unit, {"success", CLD_KILLED, SIGTERM, ""});
    run();
    expect(ProcessState::Running);
    EXPECT_FALSE(status()->reason);
}

TEST_F(ReconcilerTest, ResyncFindsWhatHappenedUnseen) {
    start();
    want(record());
    systemd.loaded.clear();
    journal.logged = LoggedEnd{.stopped = true};
    systemd.events.resynced({});
    run();
    expect(ProcessState::Stopped, StopKind::StoppedOutside);
}

} // namespace
} // namespace p2prc::process
