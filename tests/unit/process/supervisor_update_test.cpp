// Updates: from one revision to the next, and back where the next one was not kept.
#include "core/revision.h"
#include "state/origins.h"
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

#include <fstream>

namespace p2prc::process {
namespace {

class SupervisorUpdateTest : public RetryTest {
  protected:
    SupervisorUpdateTest() {
        listeners.emplace();
        web = record();
    }
    void start_first() {
        start();
        want(web);
        becomes(ProcessState::Running);
        web.outcome = Outcome::Good;
    }
    // The registry's next revision of it.
    void update(std::string command, bool restart = true) {
        Revision next = present_revision(web);
        next.number = last_revision(web) + 1;
        next.spec.run.command = {std::move(command)};
        replace(std::move(next), restart);
    }
    void replace(Revision next, bool restart) {
        next.digest = spec_digest(next.spec);
        next.outcome = Outcome::Pending;
        replace_revision(web, std::move(next), web.outcome);
        if (restart) ++web.change;
        want(web);
    }
    // It has a port, and is listened at.
    void serve() {
        web.port = web.spec.port = 8080;
        web.digest = spec_digest(web.spec);
        listen();
        update_limit = std::chrono::seconds(2);
        asks_on = true;
    }
    // What is asked on whether it is ready leaves the loop no rest.
    void run() override {
        if (!asks_on) return RetryTest::run();
        loop.restart();
        loop.run_for(std::chrono::milliseconds(20));
    }
    void listen() {
        net::Listener mine;
        mine.address = net::Address::v4({127, 0, 0, 1});
        mine.port = 8080;
        mine.cgroup = 7;
        listeners.emplace({mine});
    }
    void becomes(ProcessState state) {
        loop.restart();
        EXPECT_TRUE(test::eventually(loop, [&] { return status() && status()->state == state; }));
    }
    void reaches(UpdatePhase phase) {
        loop.restart();
        EXPECT_TRUE(test::eventually(
            loop, [&] { return status() && status()->update && status()->update->phase == phase; }))
            << "it is " << (status()->update ? update_phase_name(status()->update->phase) : "none");
    }
    std::string command_of_unit() const {
        for (const auto& property : systemd.started.at(unit))
            if (property.name == "LogExtraFields") return property.value.dump();
        return "";
    }
    bool runs(const std::string& digest) const { return command_of_unit().contains(digest); }

    ProcessRecord web;
    bool asks_on = false;
};

TEST_F(SupervisorUpdateTest, AGoodOneIsConfirmed) {
    start_first();
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(status()->good, 1u);
    EXPECT_FALSE(status()->update);
    update("/usr/bin/web2");
    reaches(UpdatePhase::Good);
    expect(ProcessState::Running, StopKind::Stopped);
    EXPECT_EQ(status()->reason->detail, "for revision 2");
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(status()->good, 2u);
    EXPECT_EQ(status()->update->fallback, 1u);
    EXPECT_TRUE(runs(web.digest));
}

TEST_F(SupervisorUpdateTest, OneThatEndsIsTakenBack) {
    start_first();
    const auto old = web.digest;
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    // The one before must be able to start.
    systemd.fail_starts = 1;
    update("/usr/bin/absent");
    reaches(UpdatePhase::RolledBack);
    expect(ProcessState::Running, StopKind::UpdateFailed);
    EXPECT_NE(status()->reason->detail.find("revision 2 was not kept: start-failed"), std::string::npos)
        << status()->reason->detail;
    EXPECT_EQ(status()->update->reason->kind, StopKind::StartFailed);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_TRUE(runs(old));
    EXPECT_EQ(status()->applied, web.change);
    // The registry takes that in, and nothing happens to what runs.
    const auto calls = systemd.calls.size();
    auto back = *former_revision(web, 1);
    replace_revision(web, back, Outcome::RolledBack);
    want(web);
    EXPECT_EQ(systemd.calls.size(), calls);
}

TEST_F(SupervisorUpdateTest, OneThatCrashesBeforeItIsConfirmedIsTakenBack) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    expect(ProcessState::Running);
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""}); // systemd would try again
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::Signal);
    EXPECT_EQ(status()->revision, 1u);
}

// It is no longer up while it is stopped for its failed check, though that takes its time.
TEST_F(SupervisorUpdateTest, OneThatIsStoppedAsItIsConfirmedIsTakenBack) {
    serve();
    web.spec.live = LiveSpec{.probe = Probe{}, .every = std::chrono::seconds(1), .failures = 1};
    web.digest = spec_digest(web.spec);
    confirm = std::chrono::seconds(5);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    systemd.stop_takes = std::chrono::seconds(6);
    listeners->clear();
    reaches(UpdatePhase::RollingBack);
    listen();
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::Unhealthy);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(status()->good, 1u);
}

TEST_F(SupervisorUpdateTest, OneThatIsNeverReadyIsTakenBack) {
    serve();
    start_first();
    listeners->clear();
    update("/usr/bin/web2");
    reaches(UpdatePhase::RollingBack);
    EXPECT_EQ(status()->update->reason->kind, StopKind::NotReady);
    EXPECT_EQ(status()->update->reason->detail.find("tried again"), std::string::npos)
        << status()->update->reason->detail;
    listen();
    reaches(UpdatePhase::RolledBack);
    expect(ProcessState::Running, StopKind::UpdateFailed);
}

TEST_F(SupervisorUpdateTest, WhereTheOneBeforeIsNotReadyEitherBothReasonsAreTold) {
    start_first();
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    update("/usr/bin/absent");
    reaches(UpdatePhase::Failed);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->update->reason->kind, StopKind::StartFailed);
    EXPECT_EQ(status()->revision, 1u) << "nothing goes back to the new one";
}

TEST_F(SupervisorUpdateTest, WithoutAGoodOneThereIsNothingToGoBackTo) {
    start_first();
    web.outcome = Outcome::Superseded;
    update("/usr/bin/web2");
    becomes(ProcessState::Running);
    EXPECT_FALSE(status()->update);
    EXPECT_EQ(status()->good, 2u);
}

TEST_F(SupervisorUpdateTest, LimitsAreChangedOnWhatRuns) {
    start_first();
    systemd.calls.clear();
    const auto run = status()->invocation;
    auto next = present_revision(web);
    next.number = 2;
    next.spec.limits.tasks = 9;
    replace(std::move(next), false);
    EXPECT_EQ(systemd.calls, std::vector<std::string>{"set " + unit});
    const auto& set = systemd.changed_properties.at(unit);
    EXPECT_EQ(set.back(), (UnitProperty{"TasksMax", "t", 9}));
    EXPECT_EQ(status()->invocation, run);
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(status()->digest, web.digest);
    EXPECT_EQ(status()->update->phase, UpdatePhase::Good);
    daemon_restart();
    EXPECT_EQ(systemd.calls, std::vector<std::string>{});
    EXPECT_EQ(status()->digest, web.digest) << "the unit has the digest that it was started with";
}

TEST_F(SupervisorUpdateTest, ARevisionThatNeedsARestartIsNotBelievedToNeedNone) {
    start_first();
    systemd.calls.clear();
    update("/usr/bin/web2", false);
    EXPECT_EQ(systemd.calls, std::vector<std::string>{});
    EXPECT_EQ(status()->revision, 1u);
}

TEST_F(SupervisorUpdateTest, ItGoesOnWhereP2prcdWasEnded) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    confirm = std::chrono::milliseconds(20);
    daemon_restart();
    reaches(UpdatePhase::Good);
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(count("start " + unit), 0);
}

TEST_F(SupervisorUpdateTest, AfterAPowerCutTheNewOneIsTriedOnceMore) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    systemd.fail_starts = 1;
    daemon_restart(true);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(SupervisorUpdateTest, APowerCutWhileItGoesBackGoesOnBack) {
    serve();
    start_first();
    const auto old = web.digest;
    listeners->clear();
    update("/usr/bin/web2");
    reaches(UpdatePhase::RollingBack);
    daemon_restart(true);
    listen();
    reaches(UpdatePhase::RolledBack);
    EXPECT_TRUE(runs(old));
}

TEST_F(SupervisorUpdateTest, TheNextOneReplacesOneThatIsNotConfirmed) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    confirm = std::chrono::milliseconds(20);
    web.outcome = Outcome::Superseded;
    update("/usr/bin/web3");
    becomes(ProcessState::Running);
    EXPECT_EQ(status()->update->revision, 3u);
    EXPECT_EQ(status()->update->fallback, 1u);
}

TEST_F(SupervisorUpdateTest, WhoStopsItStopsTheUpdate) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    web.desired = Desired::Stopped;
    ++web.change;
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->revision, 2u);
    web.desired = Desired::Running;
    ++web.change;
    want(web);
    reaches(UpdatePhase::Confirming);
}

TEST_F(SupervisorUpdateTest, WhatServesNobodyMayRunToItsEnd) {
    confirm = std::chrono::hours(1);
    start_first();
    update("/usr/bin/once");
    reaches(UpdatePhase::Confirming);
    systemd.end(unit, {"success", CLD_EXITED, 0, ""});
    reaches(UpdatePhase::Good);
    expect(ProcessState::Stopped, StopKind::Finished);
}

class SnapshotTest : public SupervisorUpdateTest {
  protected:
    SnapshotTest() {
        web.spec.update.snapshot = true;
        web.digest = spec_digest(web.spec);
        systemd.copier = [this] {
            EXPECT_FALSE(systemd.loaded.contains(unit)) << "it is copied while nothing writes to it";
            EXPECT_EQ(status()->state, ProcessState::Starting) << "and is on its way";
            copied = read();
            const auto place = data().string() + ".copying";
            fs::create_directories(place);
            fs::copy(data(), place, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
            return std::string("done");
        };
    }
    void start_with_data() {
        start_first();
        fs::create_directories(data()); // as systemd does
        write("old");
    }
    fs::path data() const { return directory / "data/web"; }
    void write(const std::string& text) const { std::ofstream(data() / "form") << text; }
    static std::string read(const fs::path& directory) {
        std::string text;
        std::ifstream(directory / "form") >> text;
        return text;
    }
    std::string read() const { return read(data()); }
    std::string before() const { return read(data().string() + ".before"); }
    void crash() { systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""}); }

    std::string copied;
};

TEST_F(SnapshotTest, TheDataIsPutBackWhereTheUpdateIsNotKept) {
    confirm = std::chrono::hours(1);
    start_with_data();
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 0);
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    EXPECT_EQ(copied, "old");
    EXPECT_EQ(status()->update->data, DataCopy::Copied);
    write("new");
    crash();
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(read(), "old");
    EXPECT_EQ(before(), "new");
    EXPECT_EQ(status()->update->data, DataCopy::PutBack);
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 1);
}

TEST_F(SnapshotTest, WhatIsKeptKeepsItsData) {
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Good);
    write("new");
    EXPECT_EQ(before(), "old");
    web.outcome = Outcome::Good;
    update("/usr/bin/web3");
    becomes(ProcessState::Running);
    reaches(UpdatePhase::Good);
    EXPECT_EQ(status()->update->revision, 3u);
    EXPECT_EQ(read(), "new");
    EXPECT_EQ(before(), "new") << "the copy is that of the last update";
}

TEST_F(SnapshotTest, WhatTakesTooLongIsNotCopiedAndSaysSo) {
    confirm = std::chrono::hours(1);
    systemd.copier = [] { return std::string("timeout"); };
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    EXPECT_EQ(data_words(*status()->update), "not copied: that takes longer than 5 s");
    write("new");
    crash();
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(read(), "new");
    EXPECT_EQ(status()->update->data, DataCopy::NotCopied);
}

TEST_F(SnapshotTest, APowerCutChangesNothingOfThat) {
    confirm = std::chrono::hours(1);
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    write("new");
    systemd.fail_start_with = UnitResult{"exit-code", CLD_EXITED, 203, ""};
    systemd.fail_starts = 1;
    daemon_restart(true);
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(read(), "old");
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 0) << "the copy is not that of the new one's data";
}

TEST_F(SnapshotTest, ACopyIsNotMadeTwiceThoughItsStatusWasLost) {
    confirm = std::chrono::hours(1);
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    write("new");
    auto lost = *status();
    lost.update->data = DataCopy::None;
    lost.update->phase = UpdatePhase::Replacing;
    lost.state = ProcessState::Starting;
    lost.invocation.clear();
    own->set(keys::status("home1", 7), status_to_json(lost));
    daemon_restart(true);
    reaches(UpdatePhase::Confirming);
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 0);
    crash();
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(read(), "old");
}

TEST_F(SnapshotTest, ACopyThatWasCutOffIsMadeAnew) {
    start_with_data();
    // p2prcd ended while it was made: nothing is written of it, and the next revision has not been started.
    const auto place = data().string() + ".copying";
    fs::create_directories(place);
    std::ofstream(fs::path(place) / "form") << "half";
    update("/usr/bin/web2");
    reaches(UpdatePhase::Good);
    EXPECT_EQ(before(), "old");
}

TEST_F(SnapshotTest, ANextRevisionGoesBackToTheDataOfTheLastGoodOne) {
    confirm = std::chrono::hours(1);
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    write("second");
    web.outcome = Outcome::Superseded;
    update("/usr/bin/web3");
    becomes(ProcessState::Running);
    ASSERT_EQ(status()->update->revision, 3u);
    reaches(UpdatePhase::Confirming);
    write("third");
    crash();
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(read(), "old");
    EXPECT_EQ(status()->revision, 1u);
}

// It is refused before anything is stopped.
TEST_F(SnapshotTest, WhereItCouldNotBePutBackTheUpdateIsRefused) {
    exchange = [](const fs::path&, const fs::path&) { return EINVAL; };
    start_with_data();
    const auto refused = reconciler->check_spec(web.spec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotSupported);
    systemd.calls.clear();
    update("/usr/bin/web2");
    reaches(UpdatePhase::RolledBack);
    EXPECT_TRUE(systemd.calls.empty()) << "the revision before runs on";
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(status()->update->reason->step, "data");
    EXPECT_NE(status()->update->reason->detail.find("cannot exchange two directories"), std::string::npos);
    EXPECT_EQ(read(), "old");
}

TEST_F(SnapshotTest, ACopyThatWasCutOffIsRemoved) {
    start_with_data();
    const auto left = data().string() + ".copying", others = (directory / "data/gone.copying").string();
    for (const auto& each : {left, others})
        fs::create_directories(each);
    std::set<std::string> removed;
    systemd.copy_removal = [&](const std::string& path) { removed.insert(path); };
    daemon_restart();
    EXPECT_TRUE(removed.contains(left)) << "nothing is being copied";
    EXPECT_TRUE(removed.contains(others)) << "its process is gone";
    EXPECT_EQ(read(), "old");
}

TEST_F(SnapshotTest, NoDataIsCopiedForARevisionThatMayNotHaveIt) {
    state::Origins(*own).note(web.spec); // spun here; what comes next was not
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::RolledBack);
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 0);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(read(), "old");
}

TEST_F(SnapshotTest, WhatARevisionThatWasNotGoodHasDoneIsNotKept) {
    confirm = std::chrono::hours(1);
    web.spec.update.snapshot = false;
    web.digest = spec_digest(web.spec);
    start_with_data();
    update("/usr/bin/web2");
    reaches(UpdatePhase::Confirming);
    write("second");
    Revision next = present_revision(web);
    next.number = 3;
    next.spec.update.snapshot = true;
    next.spec.run.command = {"/usr/bin/web3"};
    next.digest = spec_digest(next.spec);
    replace_revision(web, std::move(next), Outcome::Superseded);
    ++web.change;
    want(web);
    becomes(ProcessState::Running);
    EXPECT_EQ(count("start p2prcd-copy-web.service"), 0);
    EXPECT_EQ(data_words(*status()->update),
              "not copied: revision 2, which was not good yet, has had it meanwhile");
}

} // namespace
} // namespace p2prc::process
