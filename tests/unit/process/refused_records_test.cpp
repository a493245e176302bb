// What a root says that is not to be trusted.
#include "state/fleet_state.h"
#include "tests/unit/process/reconciler_fixture.h"

#include <limits>

namespace p2prc::process {
namespace {

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

// While a fleet is upgraded, its registry may be of a later version than this node.
TEST_F(ReconcilerTest, WhatALaterVersionSaysIsKeptAndHarmsNothing) {
    start();
    want(record());
    auto web = record();
    Revision next = present_revision(web);
    next.number = 2;
    next.spec.limits.tasks = 9;
    next.digest = spec_digest(next.spec);
    replace_revision(web, next, Outcome::Good);
    ++web.change;
    auto document = to_json(web);
    document["schema"] = 2;
    document["region"] = {{"name", "attic"}};
    document["outcome"] = "half-good";
    document["spec"]["limits"]["io"] = "10M";
    document["spec"]["mesh"] = {{"peers", {"mail"}}};
    document["former"][0]["signed_by"] = "ada";
    document["former"][0]["outcome"] = "half-good";
    commit(keys::process("web"), document);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->revision, 2u);
    EXPECT_EQ(*replica->get(keys::process("web")), document) << "others read it here";
    const auto* read = replica->records().process("web")->accepted();
    ASSERT_TRUE(read);
    EXPECT_EQ(to_json(*read)["region"], document["region"]) << "it goes along to another registry";
    // Of a family that this version does not know, and of a value that it cannot read.
    commit("/meshes/home", Json{{"peers", {"web"}}});
    EXPECT_EQ(*replica->get("/meshes/home"), (Json{{"peers", {"web"}}}));
    auto odd = to_json(record(8, "mail"));
    odd["spec"]["port"] = Json{{"range", {1, 2}}};
    commit(keys::process("mail"), odd);
    EXPECT_EQ(count("start p2prc-mail.service"), 0);
    EXPECT_EQ(*replica->get(keys::process("mail")), odd);
    // What it says of itself later is kept, too, and another p2prcd goes on from there.
    auto noted = *own->get(keys::status("home1", 7));
    noted["mesh"] = "up";
    own->set(keys::status("home1", 7), noted);
    daemon_restart();
    expect(ProcessState::Running);
    EXPECT_TRUE(systemd.calls.empty());
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

} // namespace
} // namespace p2prc::process
