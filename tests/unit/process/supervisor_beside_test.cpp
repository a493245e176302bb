// Start-first updates: the next revision beside the one that serves.
#include "core/revision.h"
#include "state/pauses.h"
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

namespace p2prc::process {
namespace {

const std::string second = "p2prc-web_2.service";

class SupervisorBesideTest : public RetryTest {
  protected:
    SupervisorBesideTest() {
        listeners.emplace();
        web = record();
        web.spec.port = 0;
        web.spec.run.data = false;
        web.spec.update.order = UpdateOrder::StartFirst;
        web.port = 8081;
        web.digest = spec_digest(web.spec);
        listen(8081);
        update_limit = std::chrono::seconds(20);
        connections = [](std::uint16_t) { return false; };
    }
    void start_first() {
        start();
        want(web);
        becomes([&] { return status()->state == ProcessState::Running; });
        web.outcome = Outcome::Good;
        run_of_first = status()->invocation;
    }
    // The registry's next revision of it, with the port that it has chosen.
    void update(std::string command, std::uint16_t port) {
        Revision next = present_revision(web);
        next.number = last_revision(web) + 1;
        next.spec.run.command = {std::move(command)};
        next.port = port;
        next.digest = spec_digest(next.spec);
        next.outcome = Outcome::Pending;
        replace_revision(web, std::move(next), web.outcome);
        ++web.change;
        want(web);
    }
    void listen(std::uint16_t port) {
        net::Listener mine;
        mine.address = net::Address::v4({127, 0, 0, 1});
        mine.port = port;
        mine.cgroup = 7;
        listeners->push_back(mine);
    }
    // Revision 2 runs beside revision 1, is ready, and stays to be judged.
    void prove_second() {
        confirm = std::chrono::hours(1);
        start_first();
        listen(8082);
        update("/usr/bin/web2", 8082);
        reaches(UpdatePhase::Confirming);
    }
    // What is asked on whether it is ready leaves the loop no rest.
    void run() override {
        loop.restart();
        loop.run_for(std::chrono::milliseconds(20));
    }
    template <class Condition>
    void becomes(Condition condition) {
        loop.restart();
        EXPECT_TRUE(test::eventually(loop, [&] { return status() && condition(); }));
    }
    void reaches(UpdatePhase phase) {
        becomes([&] { return status()->update && status()->update->phase == phase; });
    }
    bool is_loaded(const std::string& name) const { return systemd.loaded.contains(name); }
    void gone(const std::string& name) {
        becomes([&] { return !is_loaded(name); });
    }
    std::string environment(const std::string& name) const {
        for (const auto& property : systemd.started.at(name))
            if (property.name == "Environment") return property.value.dump();
        return "";
    }
    // The first revision serves on, as if nothing had been.
    void expect_the_first_serves() {
        EXPECT_EQ(status()->state, ProcessState::Running);
        EXPECT_EQ(status()->invocation, run_of_first);
        EXPECT_EQ(status()->revision, 1u);
        EXPECT_FALSE(status()->second_unit);
        EXPECT_TRUE(is_loaded(unit));
        EXPECT_EQ(count("stop " + unit), 0);
    }

    ProcessRecord web;
    std::string run_of_first;
};

TEST_F(SupervisorBesideTest, AGoodOneTakesOver) {
    confirm = std::chrono::hours(1);
    start_first();
    EXPECT_NE(environment(unit).find("PORT=8081"), std::string::npos);
    update("/usr/bin/web2", 8082);
    becomes([&] { return is_loaded(second); });
    EXPECT_NE(environment(second).find("PORT=8082"), std::string::npos);
    EXPECT_EQ(status()->update->phase, UpdatePhase::Replacing) << "it does not listen yet";
    expect_the_first_serves();
    listen(8082);
    reaches(UpdatePhase::Confirming);
    expect_the_first_serves();
    confirm = std::chrono::milliseconds(20);
    daemon_restart(); // for the shorter time: it begins anew with what serves, and the update with it
    reaches(UpdatePhase::Good);
    expect(ProcessState::Running, StopKind::Stopped);
    EXPECT_EQ(status()->reason->detail, "for revision 2");
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(status()->good, 2u);
    EXPECT_EQ(status()->applied, web.change);
    EXPECT_EQ(status()->digest, web.digest);
    EXPECT_TRUE(status()->second_unit);
    gone(unit);
    EXPECT_TRUE(is_loaded(second));
    EXPECT_EQ(status()->state, ProcessState::Running);
}

TEST_F(SupervisorBesideTest, TheNextOneTakesTheFirstUnitAgain) {
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    web.outcome = Outcome::Good;
    update("/usr/bin/web3", 8081);
    becomes([&] { return status()->revision == 3u; });
    EXPECT_FALSE(status()->second_unit);
    gone(second);
    EXPECT_TRUE(is_loaded(unit));
    EXPECT_EQ(status()->update->phase, UpdatePhase::Good);
}

TEST_F(SupervisorBesideTest, OneThatCannotBeStartedStopsNothing) {
    start_first();
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    update("/usr/bin/absent", 8082);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::StartFailed);
    EXPECT_EQ(status()->applied, web.change);
    EXPECT_FALSE(status()->reason) << "what serves was not stopped";
    gone(second);
    expect_the_first_serves();
    run();
    EXPECT_EQ(count("start " + second), 1) << "and it is not tried again";
    EXPECT_EQ(count("start " + unit), 1);
}

TEST_F(SupervisorBesideTest, OneThatCrashesWhileItProvesItselfStopsNothing) {
    prove_second();
    systemd.crash_and_restart(second, {"signal", CLD_KILLED, SIGSEGV, ""}); // systemd would try again
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::Signal);
    gone(second);
    expect_the_first_serves();
}

TEST_F(SupervisorBesideTest, OneThatIsNeverReadyStopsNothing) {
    update_limit = std::chrono::milliseconds(50);
    start_first();
    update("/usr/bin/deaf", 8082);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::NotReady);
    gone(second);
    expect_the_first_serves();
}

TEST_F(SupervisorBesideTest, WhatItLacksDoesNotNameThePortOfTheOneThatServes) {
    group_of_second = 8;
    start_first();
    web.spec.ready = {.probe = Probe{}, .timeout = std::chrono::seconds(1)};
    update("/usr/bin/deaf", 8082);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::NotReady);
    EXPECT_EQ(status()->update->reason->detail, "nothing listens on 127.0.0.1:8082");
    gone(second);
    expect_the_first_serves();
}

TEST_F(SupervisorBesideTest, OneThatMayNotHaveItsPortStopsNothing) {
    start_first();
    held_port = 8082;
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->step, "port");
    EXPECT_EQ(count("start " + second), 0);
    expect_the_first_serves();
}

TEST_F(SupervisorBesideTest, WhatServedEndsItsConnectionsFirst) {
    bool visitors = true;
    connections = [&visitors](std::uint16_t port) { return visitors && port == 8081; };
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    run();
    EXPECT_TRUE(is_loaded(unit));
    EXPECT_EQ(count("stop " + unit), 0);
    visitors = false;
    gone(unit);
}

TEST_F(SupervisorBesideTest, ConnectionsThatDoNotEndHaveTheirTime) {
    drain = std::chrono::milliseconds(60);
    connections = [](std::uint16_t) { return true; };
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    gone(unit);
    EXPECT_EQ(status()->revision, 2u);
}

TEST_F(SupervisorBesideTest, TheNextP2prcdEndsWhatWasDraining) {
    bool visitors = true;
    connections = [&visitors](std::uint16_t) { return visitors; };
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    const auto serves = status()->invocation;
    daemon_restart();
    EXPECT_TRUE(is_loaded(unit));
    EXPECT_EQ(status()->invocation, serves);
    visitors = false;
    gone(unit);
    EXPECT_TRUE(is_loaded(second));
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(status()->state, ProcessState::Running);
    EXPECT_EQ(count("start " + second), 0);
}

TEST_F(SupervisorBesideTest, TheNextP2prcdStartsItAnew) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2", 8082);
    becomes([&] { return is_loaded(second); });
    confirm = std::chrono::milliseconds(20);
    daemon_restart();
    listen(8082);
    reaches(UpdatePhase::Good);
    EXPECT_EQ(count("start " + unit), 0);
    EXPECT_EQ(count("start " + second), 1);
    EXPECT_EQ(status()->revision, 2u);
    gone(unit);
}

TEST_F(SupervisorBesideTest, AfterAPowerCutTheNewOneIsStartedAlone) {
    prove_second();
    confirm = std::chrono::milliseconds(20);
    daemon_restart(true);
    reaches(UpdatePhase::Good);
    EXPECT_EQ(count("start " + unit), 1);
    EXPECT_EQ(count("start " + second), 0);
    EXPECT_NE(environment(unit).find("PORT=8082"), std::string::npos);
    EXPECT_EQ(status()->revision, 2u);
}

TEST_F(SupervisorBesideTest, AfterAPowerCutABadOneIsTakenBack) {
    prove_second();
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    systemd.fail_starts = 1;
    daemon_restart(true);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_NE(environment(unit).find("PORT=8081"), std::string::npos);
}

TEST_F(SupervisorBesideTest, WhoStopsItStopsBoth) {
    prove_second();
    web.desired = Desired::Stopped;
    ++web.change;
    want(web);
    becomes([&] { return status()->state == ProcessState::Stopped; });
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_FALSE(is_loaded(unit));
    EXPECT_FALSE(is_loaded(second));
    confirm = std::chrono::milliseconds(20);
    web.desired = Desired::Running;
    ++web.change;
    want(web);
    becomes([&] { return status()->revision == 2u && status()->state == ProcessState::Running; });
}

TEST_F(SupervisorBesideTest, WhoKillsItKillsBoth) {
    connections = [](std::uint16_t) { return true; };
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    EXPECT_TRUE(is_loaded(unit));
    kill(7, "web");
    becomes([&] { return status()->state == ProcessState::Stopped; });
    EXPECT_FALSE(is_loaded(unit));
    EXPECT_FALSE(is_loaded(second));
    expect(ProcessState::Stopped, StopKind::Killed);
}

TEST_F(SupervisorBesideTest, AnotherRevisionReplacesOneThatProvesItself) {
    prove_second();
    web.outcome = Outcome::Superseded;
    listen(8083);
    update("/usr/bin/web3", 8083);
    becomes([&] {
        return status()->update->revision == 3u && status()->update->phase == UpdatePhase::Confirming;
    });
    EXPECT_EQ(count("stop " + second), 1);
    EXPECT_EQ(count("start " + second), 2);
    EXPECT_EQ(status()->update->fallback, 1u);
    expect_the_first_serves();
}

TEST_F(SupervisorBesideTest, WhereWhatServesEndsTheNewOneIsStartedInstead) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2", 8082);
    becomes([&] { return is_loaded(second); });
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    listen(8082);
    reaches(UpdatePhase::Confirming);
    EXPECT_FALSE(is_loaded(second));
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(SupervisorBesideTest, ARestartOfWhatServesIsNoEndOfTheUpdate) {
    confirm = std::chrono::milliseconds(300);
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Confirming);
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""});
    run();
    systemd.runs_again(unit);
    reaches(UpdatePhase::Good);
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_TRUE(status()->second_unit);
    EXPECT_EQ(status()->state, ProcessState::Running);
}

TEST_F(SupervisorBesideTest, AFixedPortIsUpdatedStopFirst) {
    start_first();
    web.former.clear();
    update("/usr/bin/web2", 8081);
    becomes([&] { return status()->revision == 2u && status()->state == ProcessState::Running; });
    EXPECT_EQ(count("start " + second), 0);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(SupervisorBesideTest, WithoutItsStatusTheOneThatIsThereServes) {
    start_first();
    listen(8082);
    update("/usr/bin/web2", 8082);
    reaches(UpdatePhase::Good);
    gone(unit);
    own->erase(keys::status("home1", 7));
    daemon_restart();
    becomes([&] { return status()->state == ProcessState::Running; });
    EXPECT_TRUE(is_loaded(second));
    EXPECT_TRUE(status()->second_unit);
    EXPECT_EQ(count("stop " + second), 0);
    EXPECT_EQ(count("start " + unit), 0);
}

TEST_F(SupervisorBesideTest, WhatIsLeftOfAnUpdateMakesWayForAStart) {
    prove_second();
    reconciler.reset();
    systemd.loaded.erase(unit); // without p2prcd, what served has ended
    daemon_restart();
    becomes([&] { return is_loaded(unit); });
    const auto stop = std::ranges::find(systemd.calls, "stop " + second);
    ASSERT_NE(stop, systemd.calls.end()) << "it has the port of what is to start";
    EXPECT_NE(std::find(stop, systemd.calls.end(), "start " + unit), systemd.calls.end());
    EXPECT_FALSE(is_loaded(second));
}

TEST_F(SupervisorBesideTest, WhatIsLeftOfAProcessThatWasKilledEnds) {
    prove_second();
    reconciler.reset();
    systemd.loaded.erase(unit);
    kill(7, "web");
    daemon_restart();
    gone(second);
    expect(ProcessState::Stopped, StopKind::Killed);
}

TEST_F(SupervisorBesideTest, WhatWasPausedIsUpdatedWithoutAStop) {
    start_first();
    state::Pauses pauses(*own);
    pauses.pause(web, {"carol@home1", "2026-01-02T03:04:05Z"});
    becomes([&] { return status()->state == ProcessState::Paused; });
    listen(8082);
    update("/usr/bin/web2", 8082);
    run();
    pauses.resume(web);
    reaches(UpdatePhase::Good);
    EXPECT_TRUE(status()->second_unit);
}

} // namespace
} // namespace p2prc::process
