// The desired state becomes the actual one: processes, kills, epochs, and the way from one registry to
// another.
#include "tests/unit/process/reconciler_fixture.h"

namespace p2prc::process {
namespace {

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
