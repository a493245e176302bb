#include "fake_systemd.h"
#include "process/reconciler.h"
#include "process/unit_names.h"
#include "state/disk.h"
#include "state/origins.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/eventually.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <limits>
#include <ranges>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;
const std::string unit = "p2prc-web.service";

class ReconcilerTest : public testing::Test {
  protected:
    ReconcilerTest() {
        fs::create_directories(directory / "units");
        open();
    }
    ~ReconcilerTest() override {
        close();
        for (const auto& warning : warnings)
            EXPECT_EQ(warning.find("fault of p2prcd"), std::string::npos) << warning;
    }

    void open() {
        disk = std::make_unique<state::Disk>();
        replica = std::move(*state::Replica::open(directory / "replica.db", *disk));
        own = std::move(*state::OwnState::open(directory / "own.db", *disk));
    }
    void close() {
        reconciler.reset();
        loop.restart();
        loop.poll();
        replica.reset();
        own.reset();
        disk.reset();
    }

    void start(bool clean_shutdown = false) {
        ReconcilerOptions options{
            .node = "home1",
            .boot_id = boot,
            .ended_boot = clean_shutdown ? last_boot : "",
            .remote_spin = RemoteSpin::Sandboxed,
            .data = {directory / "data", directory / "private", directory / "owners"},
            .unit_directories = {directory / "units"},
            .check_port = [this](std::uint16_t port, std::string_view) -> Result<void> {
                if (port != held_port || port == 0) return {};
                return fail(ErrorCode::PortTaken, "port 8000 is held by python3 (admin.service)");
            },
            .warn = [this](std::string_view message, std::string_view) { warnings.emplace_back(message); },
            .first_retry_pause = first_retry_pause,
            .longest_retry_pause = std::chrono::hours(2),
            .first_ports_pause = first_ports_pause,
            .pins = directory / "pins",
            .health =
                Health::Sources{.listeners = [this]() -> Result<std::vector<net::Listener>> {
                                    if (!listeners) return fail(ErrorCode::Failed, "no netlink");
                                    return *listeners;
                                },
                                .unit = [](const std::string&) { return UnitSockets{{7}, std::nullopt}; },
                                .lived_enough = lived_enough}};
        reconciler =
            std::make_unique<Reconciler>(loop.get_executor(), systemd, *replica, *own, journal, options);
        boost::asio::co_spawn(loop, reconciler->start(), boost::asio::detached);
        run();
    }
    // p2prcd ends and begins again; the units stay, or go with the machine.
    void daemon_restart(bool with_the_machine = false, bool clean_shutdown = false) {
        reconciler.reset();
        systemd.events = {};
        systemd.calls.clear();
        if (with_the_machine) {
            systemd.loaded.clear();
            last_boot = boot;
            boot += "'";
        }
        start(clean_shutdown);
    }
    // Until nothing is left to do.
    virtual void run() {
        loop.restart();
        loop.run_for(std::chrono::minutes(1));
    }

    ProcessRecord record(std::uint32_t id = 7, std::string name = "web") {
        ProcessRecord result;
        result.id = id;
        result.name = name;
        result.node = "home1";
        result.created_by = "alice@home1";
        result.changed_by = "alice@home1";
        result.spec.name = name;
        result.spec.run.command = {"/usr/bin/web"};
        result.digest = spec_digest(result.spec);
        return result;
    }
    void commit(std::string key, std::optional<Json> value) {
        std::vector<state::Change> changes;
        changes.push_back({std::move(key), std::move(value), 0});
        ASSERT_TRUE(replica->apply("store", replica->revision() + 1, changes) ||
                    (replica->reset("store", replica->revision() + 1, changes), true));
        run();
    }
    // BPFProgram= of the unit's last start.
    std::string bind_programs() const {
        for (const auto& property : systemd.started.at(unit))
            if (property.name == "BPFProgram") return property.value.dump();
        return "none";
    }
    void want(const ProcessRecord& wanted) { commit(keys::process(wanted.name), to_json(wanted)); }
    void kill(std::uint32_t id, const std::string& name) {
        commit(keys::process(name), std::nullopt);
        commit(keys::tombstone(id), to_json(Tombstone{id, name, "home1", "bob@root", "now"}));
    }
    std::optional<ProcessStatus> status(std::uint32_t id = 7) const {
        const auto value = own->get(keys::status("home1", id));
        if (!value) return {};
        return status_from_json(*value);
    }
    void expect(ProcessState state, std::optional<StopKind> kind = {}, std::uint32_t id = 7) {
        const auto now = status(id);
        ASSERT_TRUE(now);
        EXPECT_EQ(process_state_name(now->state), process_state_name(state));
        if (kind) {
            ASSERT_TRUE(now->reason);
            EXPECT_EQ(stop_kind_name(now->reason->kind), stop_kind_name(*kind)) << now->reason->detail;
        }
    }
    int count(const std::string& call) { return static_cast<int>(std::ranges::count(systemd.calls, call)); }

    const net::TemporaryDirectory temporary;
    const fs::path& directory = temporary.path();
    boost::asio::io_context loop;
    std::unique_ptr<state::Disk> disk;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
    FakeSystemd systemd;
    FakeJournal journal;
    std::unique_ptr<Reconciler> reconciler;
    std::uint16_t held_port = 0;
    // Of the process's own control group where that is 7; nothing: nobody can say, and every port is taken
    // for its own.
    std::optional<std::vector<net::Listener>> listeners;
    std::chrono::milliseconds lived_enough{0};
    std::string boot = "boot1", last_boot;
    std::vector<std::string> warnings;
    std::chrono::milliseconds first_retry_pause = std::chrono::hours(1);
    std::chrono::milliseconds first_ports_pause = std::chrono::hours(1);
};

// Readiness is waited for: the loop is never out of work.
class ReadyTest : public ReconcilerTest {
  protected:
    ReadyTest() {
        patience = std::chrono::milliseconds(1500);
        listeners.emplace();
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
};

TEST_F(ReadyTest, ItRunsOnceItIsReady) {
    start();
    want(with_port());
    expect(ProcessState::Starting);
    EXPECT_EQ(status()->pid, 100u);
    EXPECT_NE(status()->waits_for, "");
    listen();
    run();
    expect(ProcessState::Running);
    EXPECT_TRUE(is_ready(*status()));
    EXPECT_EQ(status()->waits_for, "");
    // Each run becomes ready once: p2prcd starts again, and does not ask again.
    listeners->clear();
    daemon_restart();
    expect(ProcessState::Running);
    // The next run has to become ready anew.
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""});
    systemd.runs_again(unit);
    run();
    expect(ProcessState::Starting, StopKind::Signal);
    listen();
    run();
    expect(ProcessState::Running);
    EXPECT_EQ(status()->restarts, 1u);
}

TEST_F(ReadyTest, WhatIsNotReadyInTimeIsStoppedAndTriedAgain) {
    start();
    first_retry_pause = std::chrono::hours(1);
    want(with_port({.probe = Probe{}, .timeout = std::chrono::seconds(1)}));
    run();
    expect(ProcessState::Failed, StopKind::NotReady);
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
    run();
    expect(ProcessState::Failed, StopKind::NotReady);
    EXPECT_EQ(status()->reason->detail.find("tried again"), std::string::npos);
}

TEST_F(ReadyTest, AStopMeanwhileIsAStop) {
    start();
    auto web = with_port({.probe = Probe{}, .timeout = std::chrono::seconds(1)});
    want(web);
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    run();
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(count("stop " + unit), 1);
}

TEST_F(ReadyTest, WhatDoesNotAnswerAnyMoreIsRestarted) {
    start();
    listen();
    want(with_port({}, {.probe = Probe{}, .every = std::chrono::seconds(1), .failures = 1}));
    expect(ProcessState::Running);
    listeners->clear();
    for (int i = 0; i < 20 && count("start " + unit) < 2; ++i)
        run();
    expect(ProcessState::Starting, StopKind::Unhealthy);
    EXPECT_EQ(status()->reason->step, "port");
    listen();
    run();
    expect(ProcessState::Running, StopKind::Unhealthy);
    // So soon after it helps no more than before, and is waited for.
    listeners->clear();
    for (int i = 0; i < 20 && status()->state != ProcessState::Failed; ++i)
        run();
    expect(ProcessState::Failed, StopKind::Unhealthy);
    EXPECT_EQ(count("start " + unit), 2);
    EXPECT_NE(status()->reason->detail.find("it is tried again after"), std::string::npos);
}

// Where an attempt is waited for, the loop is never out of work.
class RetryTest : public ReconcilerTest {
  protected:
    // Until nothing has happened for half a second of the loop's time: a pause of the machine is one look
    // only.
    void run() override {
        for (int quiet = 0; quiet < 20;) {
            loop.restart();
            std::promise<void> written;
            disk->post([&] { written.set_value(); });
            written.get_future().wait();
            const auto ran = loop.run_one_for(std::chrono::milliseconds(25)) + loop.poll();
            quiet = ran == 0 ? quiet + 1 : 0;
        }
    }
    void give_up() {
        systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""}); // and systemd does not start it again
        run();
    }
};

TEST_F(ReconcilerTest, StartsWhatIsWanted) {
    start();
    want(record());
    expect(ProcessState::Running);
    EXPECT_EQ(status()->pid, 100u);
    EXPECT_EQ(status()->applied, 1u);
    EXPECT_EQ(systemd.calls, std::vector<std::string>{"start " + unit});
}

TEST_F(ReconcilerTest, LeavesOtherNodesProcessesAlone) {
    start();
    auto other = record();
    other.node = "home2";
    want(other);
    EXPECT_TRUE(systemd.calls.empty());
    EXPECT_FALSE(status());
}

TEST_F(ReconcilerTest, StopsWithWhoAsked) {
    start();
    auto web = record();
    want(web);
    web.desired = Desired::Stopped;
    web.change = 2;
    web.changed_by = "bob@root";
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_EQ(status()->applied, 2u);
    EXPECT_TRUE(systemd.loaded.empty());
}

TEST_F(ReconcilerTest, RestartsOnAChangeThatKeepsItWanted) {
    start();
    auto web = record();
    want(web);
    const auto first = status()->invocation;
    web.change = 2;
    want(web);
    expect(ProcessState::Running, StopKind::Stopped);
    EXPECT_NE(status()->invocation, first);
    EXPECT_EQ(status()->applied, 2u);
    EXPECT_EQ(count("start " + unit), 2);
}

TEST_F(ReconcilerTest, KillsOnATombstoneAndForgetsItWhenThatGoes) {
    start();
    want(record());
    kill(7, "web");
    expect(ProcessState::Stopped, StopKind::Killed);
    EXPECT_EQ(status()->reason->by, "bob@root");
    EXPECT_TRUE(systemd.loaded.empty());
    commit(keys::tombstone(7), std::nullopt);
    EXPECT_FALSE(status());
}

TEST_F(ReconcilerTest, AbsenceNeverKills) {
    start();
    want(record());
    commit(keys::process("web"), std::nullopt);
    EXPECT_TRUE(systemd.loaded.contains(unit));
    replica->reset("another store", 1, {});
    run();
    EXPECT_TRUE(systemd.loaded.contains(unit));
    expect(ProcessState::Running);
    EXPECT_EQ(count("stop " + unit), 0);
}

TEST_F(ReconcilerTest, ALaterEpochOnAnotherNodeStopsItHereAndAnEarlierOneNeverStartsItAgain) {
    start();
    want(record());
    auto moved = record();
    moved.node = "home2";
    moved.epoch = 2;
    want(moved);
    expect(ProcessState::Stopped, StopKind::Fenced);
    EXPECT_EQ(status()->epoch, 2u);
    EXPECT_EQ(status()->reason->epoch, 2u);
    EXPECT_TRUE(systemd.loaded.empty());
    EXPECT_EQ(count("stop " + unit), 1);
    daemon_restart();
    want(moved);
    want(record()); // of a registry that was restored from an older copy
    EXPECT_EQ(count("start " + unit), 0);
    auto back = record();
    back.epoch = 3;
    want(back);
    expect(ProcessState::Running, StopKind::Fenced);
    EXPECT_EQ(status()->epoch, 3u);
    EXPECT_TRUE(warnings.empty()) << warnings.front();
}

TEST_F(ReconcilerTest, OnlyALaterEpochOfTheSameProcessFences) {
    start();
    want(record());
    auto moved = record();
    moved.node = "home2";
    want(moved); // the epoch is the one that runs here
    EXPECT_TRUE(systemd.loaded.contains(unit));
    auto other = record(8);
    other.node = "home2";
    other.epoch = 9;
    want(other); // it has the name, and is another process
    EXPECT_TRUE(systemd.loaded.contains(unit));
    moved.epoch = std::uint64_t{1} << 53; // nobody moved it so often
    want(moved);
    EXPECT_TRUE(systemd.loaded.contains(unit));
    EXPECT_EQ(count("stop " + unit), 0);
}

TEST_F(ReconcilerTest, TombstoneOfAProcessThatNeverRanHereIsReported) {
    start();
    kill(9, "gone");
    expect(ProcessState::Stopped, StopKind::Killed, 9);
}

TEST_F(ReconcilerTest, WhatComesIntoAFleetGoesOnUnderItsNewId) {
    start();
    want(record());
    auto joined = record(20);
    joined.former_ids = {7};
    // In the fleet the old number is another's, and was killed there besides.
    auto other = record(7, "other");
    other.node = "root";
    std::vector<state::Change> items;
    items.push_back({keys::process("web"), to_json(joined), 1});
    items.push_back({keys::process("other"), to_json(other), 1});
    replica->reset("fleet", 1, items);
    run();
    EXPECT_EQ(count("stop " + unit), 0);
    expect(ProcessState::Running, {}, 20);
    EXPECT_FALSE(status(7));
    daemon_restart();
    run();
    EXPECT_EQ(count("stop " + unit), 0);
    expect(ProcessState::Running, {}, 20);
    std::vector<state::Change> killed;
    killed.push_back({keys::process("web"), std::nullopt, 2});
    killed.push_back(
        {keys::tombstone(20), to_json(Tombstone{20, "web", "home1", "bob@root", "now", {7}}), 2});
    replica->apply("fleet", 2, killed);
    run();
    EXPECT_EQ(count("stop " + unit), 1);
    expect(ProcessState::Stopped, StopKind::Killed, 20);
}

// A node that leaves a fleet is without a record for a moment, and the unit knows only its first id.
TEST_F(ReconcilerTest, WhatLeavesAFleetGoesOnUnderItsNewId) {
    start();
    auto own_record = record();
    own_record.change = 3;
    want(own_record);
    const auto move_to = [&](const std::string& store, std::uint32_t id, std::vector<std::uint32_t> former) {
        auto there = record(id);
        there.change = 3;
        there.former_ids = std::move(former);
        std::vector<state::Change> items;
        items.push_back({keys::process("web"), to_json(there), 1});
        replica->reset(store, 1, items);
        run();
    };
    move_to("fleet", 20, {7});
    std::vector<state::Change> gone;
    gone.push_back({keys::process("web"), std::nullopt, 2});
    replica->apply("fleet", 2, gone);
    run();
    expect(ProcessState::Running, {}, 20);
    EXPECT_FALSE(status(7));
    move_to("alone", 21, {7, 20});
    EXPECT_EQ(count("stop " + unit), 0);
    expect(ProcessState::Running, {}, 21);
    EXPECT_EQ(status(21)->applied, 3u);
    EXPECT_FALSE(status(20));
}

TEST_F(ReconcilerTest, WhatRunsWithoutARecordIsForgottenWhenItEnds) {
    start();
    want(record());
    commit(keys::process("web"), std::nullopt);
    systemd.crash_and_restart(unit, {"signal", CLD_KILLED, SIGSEGV, ""});
    run();
    expect(ProcessState::Starting, StopKind::Signal);
    systemd.runs_again(unit);
    run();
    expect(ProcessState::Running);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""}); // it stays loaded, as failed
    run();
    EXPECT_FALSE(status());
}

TEST_F(ReconcilerTest, WhatEndedUnseenWithoutARecordIsForgotten) {
    start();
    want(record());
    commit(keys::process("web"), std::nullopt);
    reconciler.reset();
    systemd.events = {};
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    start();
    EXPECT_FALSE(status());
    // A machine that goes down is another matter: what it ran may come into the registry yet.
    systemd.loaded.clear();
    want(record());
    commit(keys::process("web"), std::nullopt);
    daemon_restart(true);
    expect(ProcessState::Running);
}

TEST_F(ReconcilerTest, AnExceptionCostsOneAttempt) {
    systemd.throw_once = true;
    start();
    want(record());
    expect(ProcessState::Running);
    EXPECT_EQ(count("start " + unit), 2);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("'web'"), std::string::npos) << warnings[0];
    // And another process goes on as if nothing had been.
    want(record(8, "mail"));
    expect(ProcessState::Running, {}, 8);
}

TEST_F(ReconcilerTest, NewProcessOfAnOldNameWaitsForTheOldOnesEnd) {
    start();
    want(record());
    commit(keys::tombstone(7), to_json(Tombstone{7, "web", "home1", "bob@root", "now"}));
    auto next = record(8);
    next.spec.run.command = {"/usr/bin/other"};
    next.digest = spec_digest(next.spec);
    want(next);
    expect(ProcessState::Stopped, StopKind::Killed, 7);
    expect(ProcessState::Running, {}, 8);
    EXPECT_EQ(systemd.loaded.at(unit).process, 8u);
}

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

TEST_F(ReconcilerTest, ARecordThatIsNotAcceptedIsSaidAndNotRun) {
    start();
    auto evil = record(8, "x\nExecStartPre=+/bin/touch /root/pwned");
    evil.spec.name = "evil";
    commit("/processes/evil", to_json(evil));
    EXPECT_TRUE(systemd.calls.empty());
    expect(ProcessState::Failed, StopKind::StartFailed, 8);
    EXPECT_EQ(status(8)->name, "evil");
    EXPECT_EQ(status(8)->reason->step, "policy");
    EXPECT_NE(status(8)->reason->detail.find("/processes/evil is not accepted"), std::string::npos)
        << status(8)->reason->detail;
    daemon_restart();
    EXPECT_TRUE(systemd.calls.empty());
    expect(ProcessState::Failed, StopKind::StartFailed, 8);
    commit("/processes/evil", std::nullopt);
    EXPECT_FALSE(status(8));
}

TEST_F(ReconcilerTest, ARefusedRecordDoesNotTouchTheStatusOfAnother) {
    start();
    want(record());
    auto evil = record(7, "other");
    commit("/processes/x/../web", to_json(evil));
    expect(ProcessState::Running);
    EXPECT_EQ(status()->name, "web");
    ASSERT_FALSE(warnings.empty());
    EXPECT_NE(warnings.back().find("is not accepted"), std::string::npos);
}

TEST_F(ReconcilerTest, ATombstoneIsNoPath) {
    start();
    const std::string name = "x/../../system/victim";
    auto evil = record(6000, name);
    commit("/processes/" + name, to_json(evil));
    commit(keys::tombstone(6000), to_json(Tombstone{6000, name, "home1", "root", "now"}));
    daemon_restart();
    EXPECT_TRUE(systemd.calls.empty());
    EXPECT_FALSE(fs::exists(directory / "owners"));
    expect(ProcessState::Failed, StopKind::StartFailed, 6000);
}

TEST_F(RetryTest, ALowPortOfAnotherNodesProcessTakesBpf) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    start();
    auto web = record();
    web.port = web.spec.port = 81;
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    EXPECT_TRUE(systemd.calls.empty());
}

// The machine has BPF, but these programs could not be pinned.
TEST_F(ReconcilerTest, ALowPortOfAnotherNodesProcessTakesItsOwnPrograms) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    systemd.pins = false;
    auto web = record();
    web.port = web.spec.port = 81;
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    EXPECT_TRUE(systemd.calls.empty());
    web.port = web.spec.port = 8081;
    ++web.change;
    web.digest = spec_digest(web.spec);
    want(web);
    expect(ProcessState::Running);
    EXPECT_EQ(bind_programs(), "none");
}

TEST_F(ReconcilerTest, WhatStartsIsKeptToItsPort) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    want(record());
    EXPECT_EQ(systemd.port_units, (std::vector<std::string>{"p2prcd-ports.service"}));
    EXPECT_EQ(bind_programs(),
              R"([["bind4","/sys/fs/bpf/p2prc/bind4-none"],["bind6","/sys/fs/bpf/p2prc/bind6-none"]])");
    auto web = record();
    web.port = web.spec.port = 81;
    web.digest = spec_digest(web.spec);
    ++web.change; // restarted
    want(web);
    EXPECT_EQ(systemd.port_units,
              (std::vector<std::string>{"p2prcd-ports.service", "p2prcd-ports-web.service"}));
    EXPECT_EQ(bind_programs(),
              R"([["bind4","/sys/fs/bpf/p2prc/bind4-81"],["bind6","/sys/fs/bpf/p2prc/bind6-81"]])");
    ++web.change;
    want(web);
    EXPECT_EQ(systemd.port_units.size(), 2U);
    daemon_restart(true); // pins of all that it has, in one unit
    expect(ProcessState::Running);
    EXPECT_EQ(systemd.port_units.size(), 3U);
    EXPECT_EQ(systemd.port_units.back(), "p2prcd-ports.service");
}

TEST_F(ReconcilerTest, SaysThatItMayNotBindAPort) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    journal.lines = {"    self.socket.bind(self.server_address)",
                     "PermissionError: [Errno 1] Operation not permitted"};
    start();
    auto web = record();
    web.spec.run.command = {"/usr/bin/python3", "-m", "http.server", "8222"};
    web.spec.run.restart = Restart::No;
    web.digest = spec_digest(web.spec);
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->detail, "it may bind no port, as it has none: spin it with --port 8222");
}

TEST_F(RetryTest, WithoutBpfABindIsRefusedForOtherReasons) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    journal.lines = {"bind: Operation not permitted"};
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->detail, "");
}

// Pins of rules that no process has any more are removed: by what the records and the units have, whoever
// pinned them.
TEST_F(ReconcilerTest, ProgramsThatNoProcessNeedsAreRemoved) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    const auto pin = [&](const std::string& rule) {
        fs::create_directories(directory / "pins");
        for (const auto* family : {"bind4-", "bind6-"})
            std::ofstream(directory / "pins" / (family + rule)) << "";
    };
    const auto removed = [&] {
        systemd.port_units.clear();
        systemd.port_words.clear();
        reconciler->tidy_ports();
        run();
        if (systemd.port_units.empty()) return std::string("nothing");
        EXPECT_EQ(systemd.port_units, std::vector<std::string>{"p2prcd-unpin.service"});
        EXPECT_EQ(systemd.port_words.at(1), "--unpin");
        std::string rules;
        for (const auto& rule : systemd.port_words | std::views::drop(2)) {
            rules += rule + " ";
            for (const auto* family : {"bind4-", "bind6-"})
                fs::remove(directory / "pins" / (family + rule));
        }
        return rules;
    };
    auto web = record();
    web.port = web.spec.port = 8081;
    web.digest = spec_digest(web.spec);
    start();
    for (const auto* rule : {"none", "8081", "8082", "8083+8084"})
        pin(rule);
    std::ofstream(directory / "pins" / "another's") << "";
    want(web);
    EXPECT_EQ(removed(), "8082 8083+8084 ");
    EXPECT_EQ(removed(), "nothing");
    // Other ports from its next start on: the unit that runs may be started again by systemd.
    auto& unit_now = systemd.loaded.at(unit);
    unit_now.bind_rule = "8085";
    systemd.tell(UnitView(unit_now));
    pin("8085");
    EXPECT_EQ(removed(), "nothing");
    daemon_restart();
    EXPECT_EQ(removed(), "nothing");
    kill(7, "web");
    EXPECT_EQ(removed(), "8081 8085 ");
    EXPECT_EQ(removed(), "nothing");
}

TEST_F(ReconcilerTest, ProgramsThatCannotBeRemovedAreLeftAlone) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    fs::create_directories(directory / "pins");
    std::ofstream(directory / "pins" / "bind4-8081") << "";
    systemd.pins = false;
    for (int round = 0; round < 2; ++round) {
        reconciler->tidy_ports();
        run();
    }
    EXPECT_EQ(std::ranges::count(systemd.port_units, "p2prcd-unpin.service"), 1);
}

// Between the decision to remove them and their removal a process comes that needs them.
TEST_F(ReconcilerTest, ProgramsThatAreNeededAgainArePinnedAfterTheirRemoval) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    fs::create_directories(directory / "pins");
    std::ofstream(directory / "pins" / "bind4-8081") << "";
    systemd.unpin_takes = std::chrono::milliseconds(300);
    reconciler->tidy_ports();
    auto web = record();
    web.port = web.spec.port = 8081;
    web.digest = spec_digest(web.spec);
    want(web);
    EXPECT_EQ(systemd.port_units, (std::vector<std::string>{"p2prcd-ports.service", "p2prcd-unpin.service",
                                                            "(is over)", "p2prcd-ports-web.service"}));
    expect(ProcessState::Running);
}

TEST_F(RetryTest, ProgramsThatCouldNotBePinnedAreTriedAgain) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    first_ports_pause = std::chrono::milliseconds(100);
    start();
    EXPECT_GE(systemd.port_units.size(), 3U); // after 100 and 300 ms
    ASSERT_TRUE(reconciler->unconfined());
    systemd.pins = true;
    EXPECT_TRUE(test::eventually(loop, [this] { return !reconciler->unconfined(); }));
    const auto tried = systemd.port_units.size();
    want(record());
    EXPECT_NE(bind_programs(), "none");
    run();
    EXPECT_EQ(systemd.port_units.size(), tried);
}

TEST_F(RetryTest, WithoutBpfProcessesStartUnconfined) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    start();
    auto web = record();
    web.port = web.spec.port = 8081;
    want(web);
    expect(ProcessState::Running);
    EXPECT_EQ(bind_programs(), "none");
    EXPECT_EQ(systemd.port_units.size(), 1U); // it was tried once
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
    state::Origins(*own).bind(web.spec, web.id);
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

TEST_F(ReconcilerTest, AnIdIsThatOfOneProcess) {
    start();
    want(record());
    const auto before = status();
    auto twin = record(7, "twin");
    twin.change = 2;
    want(twin);
    EXPECT_EQ(count("start p2prc-twin.service"), 0);
    EXPECT_EQ(status(), before);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("its id 7 is that of 'web' here"), std::string::npos) << warnings[0];
    daemon_restart(true);
    EXPECT_EQ(count("start p2prc-twin.service"), 0);
    expect(ProcessState::Running);
    // The registry was restored from an older copy, and has given the first one another id by now.
    auto web = record(8);
    web.former_ids = {7};
    want(web);
    expect(ProcessState::Running, {}, 8);
    EXPECT_EQ(status(7)->name, "twin");
    expect(ProcessState::Running);
}

// What ran without a record keeps its id for as long as it runs.
TEST_F(ReconcilerTest, AnIdIsThatOfWhatRuns) {
    start();
    want(record());
    commit(keys::process("web"), std::nullopt);
    want(record(7, "twin"));
    EXPECT_EQ(count("start p2prc-twin.service"), 0);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    systemd.remove(unit);
    run();
    EXPECT_EQ(count("start p2prc-twin.service"), 1);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->name, "twin");
}

TEST_F(ReconcilerTest, AChangeThatNobodyMadeIsNotAppliedAndOneThatWasIsForgotten) {
    start();
    want(record());
    auto made_up = record();
    made_up.change = std::numeric_limits<std::uint64_t>::max() - 1;
    want(made_up);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->applied, 1U);
    // An earlier version has applied it.
    auto poisoned = *status();
    poisoned.applied = made_up.change;
    own->set(keys::status("home1", 7), status_to_json(poisoned));
    auto stopped = record();
    stopped.change = 2;
    stopped.desired = Desired::Stopped;
    want(stopped);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(status()->applied, 2U);
}

// A member's processes may take their time to end, and nobody else waits for that.
TEST_F(ReconcilerTest, JobsAreOfWhoeverSpunTheProcess) {
    start();
    auto web = record();
    EXPECT_TRUE(state::Origins(*own).note(web.spec));
    want(web);
    EXPECT_EQ(systemd.shares.at(unit), JobShare{JobShare::Kind::Local});
    auto mail = record(8, "mail");
    mail.created_by = "bob@home2";
    want(mail);
    const JobShare remote{JobShare::Kind::Remote, "home2"};
    EXPECT_EQ(systemd.shares.at("p2prc-mail.service"), remote);
    daemon_restart();
    systemd.shares.clear();
    // Whose it was is known after its record is gone.
    state::Origins(*own).forget(Tombstone{7, "web", "home1", "", "", {}});
    kill(7, "web");
    kill(8, "mail");
    EXPECT_EQ(systemd.shares.at(unit), JobShare{JobShare::Kind::Local});
    EXPECT_EQ(systemd.shares.at("p2prc-mail.service"), remote);
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

TEST_F(ReconcilerTest, TakesItsStatusesToANewNodeName) {
    start();
    want(record());
    reconciler->set_node("den");
    run();
    EXPECT_FALSE(status());
    const auto moved = own->get(keys::status("den", 7));
    ASSERT_TRUE(moved);
    EXPECT_EQ(status_from_json(*moved).node, "den");
    EXPECT_TRUE(systemd.loaded.contains(unit));
}

} // namespace
} // namespace p2prc::process
