// When a process counts as running, and what becomes of one that is not ready or healthy.
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

namespace p2prc::process {
namespace {

// Its timers never end, so what comes about is waited for.
class ReadyTest : public ReconcilerTest {
  protected:
    ReadyTest() { listeners.emplace(); }

    void run() override {
        loop.restart();
        loop.run_for(std::chrono::milliseconds(20));
    }
    static ProcessRecord with_port(ReadySpec ready = {}, LiveSpec live = {}) {
        ProcessRecord web;
        web.id = 7;
        web.name = web.spec.name = "web";
        web.node = "home1";
        web.created_by = web.changed_by = "alice@home1";
        web.spec.run.command = {"/usr/bin/web"};
        web.port = web.spec.port = 8080;
        web.spec.ready = std::move(ready);
        web.spec.live = std::move(live);
        web.digest = spec_digest(web.spec);
        return web;
    }
    void listen() {
        net::Listener mine;
        mine.address = net::Address::v4({127, 0, 0, 1});
        mine.port = 8080;
        mine.cgroup = 7;
        listeners.emplace({mine});
    }
    // Until it is in that state, and its last stop was of that kind.
    void becomes(ProcessState state, std::optional<StopKind> kind = {}) {
        loop.restart();
        test::eventually(loop, [&] {
            const auto now = status();
            return now && now->state == state && (!kind || (now->reason && now->reason->kind == *kind));
        });
        expect(state, kind);
    }
};

TEST_F(ReadyTest, ItRunsOnceItIsReady) {
    start();
    want(with_port());
    becomes(ProcessState::Starting);
    EXPECT_TRUE(test::eventually(loop, [&] { return !status()->waits_for.empty(); }));
    EXPECT_EQ(status()->pid, 100u);
    listen();
    becomes(ProcessState::Running);
    EXPECT_TRUE(is_ready(*status()));
    EXPECT_EQ(status()->waits_for, "");
    // Each run becomes ready once: p2prcd starts again, and does not ask again.
    listeners->clear();
    daemon_restart();
    expect(ProcessState::Running);
    // The next run has to become ready anew.
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""});
    systemd.runs_again(unit);
    becomes(ProcessState::Starting, StopKind::Signal);
    EXPECT_TRUE(test::eventually(loop, [&] { return !status()->waits_for.empty(); }));
    listen();
    becomes(ProcessState::Running);
    EXPECT_EQ(status()->restarts, 1u);
}

TEST_F(ReadyTest, WhatIsNotReadyInTimeIsStoppedAndTriedAgain) {
    start();
    want(with_port({.probe = Probe{}, .timeout = std::chrono::seconds(1)}));
    becomes(ProcessState::Failed, StopKind::NotReady);
    EXPECT_EQ(status()->reason->step, "port");
    EXPECT_NE(status()->reason->detail.find("; it is tried again after 3600 s"), std::string::npos)
        << status()->reason->detail;
    EXPECT_EQ(status()->reason->log, journal.lines);
    EXPECT_TRUE(systemd.loaded.empty());
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(ReadyTest, WhatIsNotReadyInTimeIsLeftStoppedWhereItsFileSaysSo) {
    start();
    auto web = with_port({.probe = Probe{}, .timeout = std::chrono::seconds(1)});
    web.spec.run.restart = Restart::No;
    web.digest = spec_digest(web.spec);
    want(web);
    becomes(ProcessState::Failed, StopKind::NotReady);
    EXPECT_EQ(status()->reason->detail.find("tried again"), std::string::npos);
}

TEST_F(ReadyTest, AStopMeanwhileIsAStop) {
    start();
    auto web = with_port({.probe = Probe{}, .timeout = std::chrono::hours(1)});
    want(web);
    becomes(ProcessState::Starting);
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    becomes(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(count("stop " + unit), 1);
}

TEST_F(ReadyTest, ItsProbesTakeTheShareOfWhoeverSpunIt) {
    start();
    auto web = with_port({.probe = Probe{.kind = Probe::Kind::Command, .command = {"/bin/true"}}});
    state::Origins(*own).note(web.spec);
    auto mail = web;
    mail.name = mail.spec.name = "mail";
    mail.id = 8;
    mail.port = mail.spec.port = 8081;
    mail.created_by = "ann@home2";
    mail.digest = spec_digest(mail.spec);
    want(web);
    want(mail);
    const auto share_of = [&](const std::string& name) -> std::optional<JobShare> {
        const auto found = systemd.shares.find("p2prcd-probe-" + name + ".service");
        return found == systemd.shares.end() ? std::nullopt : std::optional(found->second);
    };
    EXPECT_TRUE(test::eventually(loop, [&] { return share_of("web") && share_of("mail"); }));
    EXPECT_EQ(share_of("web"), (JobShare{JobShare::Kind::Probes, "web"}));
    EXPECT_EQ(share_of("mail"), (JobShare{JobShare::Kind::RemoteProbes, "home2"}));
}

TEST_F(ReadyTest, WhatDoesNotAnswerAnyMoreIsRestarted) {
    start();
    listen();
    want(with_port({}, {.probe = Probe{}, .every = std::chrono::seconds(1), .failures = 1}));
    becomes(ProcessState::Running);
    listeners->clear();
    becomes(ProcessState::Starting, StopKind::Unhealthy);
    EXPECT_EQ(status()->reason->step, "port");
    EXPECT_EQ(count("start " + unit), 2);
    listen();
    becomes(ProcessState::Running, StopKind::Unhealthy);
    // So soon after it helps no more than before, and is waited for.
    listeners->clear();
    EXPECT_TRUE(test::eventually(loop, [&] {
        return status()->state == ProcessState::Failed &&
               status()->reason->detail.find("it is tried again after") != std::string::npos;
    }));
    EXPECT_EQ(count("start " + unit), 2);
}

// A process whose notification is waited for.
class NotifyTest : public RetryTest {
  protected:
    NotifyTest() {
        web = record();
        web.spec.ready.probe = Probe{.kind = Probe::Kind::Notify};
        web.digest = spec_digest(web.spec);
    }
    // Processes of other nodes may not notify.
    void begin() {
        start();
        state::Origins(*own).note(web.spec);
        want(web);
    }
    ProcessRecord web;
};

TEST_F(NotifyTest, ItRunsOnceItHasNotified) {
    begin();
    expect(ProcessState::Starting);
    EXPECT_TRUE(is_executed(*status()));
    EXPECT_EQ(status()->waits_for, "it has not told systemd that it is ready (READY=1)");
    systemd.notify(unit);
    run();
    expect(ProcessState::Running);
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(NotifyTest, NobodyWaitsForItToStopOrKillIt) {
    begin();
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_TRUE(systemd.loaded.empty());
    web.desired = Desired::Running;
    web.change = 3;
    want(web);
    expect(ProcessState::Starting);
    kill(7, "web");
    expect(ProcessState::Stopped, StopKind::Killed);
    EXPECT_EQ(count("stop " + unit), 2);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(NotifyTest, NobodyWaitsForItToRestartIt) {
    begin();
    web.change = 2;
    want(web);
    EXPECT_EQ(count("stop " + unit), 1);
    EXPECT_EQ(count("start " + unit), 2);
    systemd.notify(unit);
    run();
    expect(ProcessState::Running, StopKind::Stopped);
}

TEST_F(NotifyTest, WhatAsksForMoreTimeWithoutEndIsStopped) {
    begin();
    systemd.end_start_job("timeout");
    run();
    expect(ProcessState::Failed, StopKind::NotReady);
    EXPECT_EQ(status()->reason->step, "notify");
    EXPECT_EQ(count("stop " + unit), 1);
}

TEST_F(NotifyTest, WhatSystemdStartsAgainByItselfIsSaidToWaitForNothing) {
    begin();
    systemd.crash_and_restart(unit, {"timeout", CLD_KILLED, SIGTERM, "start", true});
    systemd.end_start_job("failed");
    run();
    expect(ProcessState::Starting, StopKind::NotReady);
    EXPECT_EQ(status()->reason->detail.find("tried again"), std::string::npos) << status()->reason->detail;
}

} // namespace
} // namespace p2prc::process
