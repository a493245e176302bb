// What this machine's owner says of all that another node spins here, and whose it is when that node has
// another name.
#include "core/records.h"
#include "state/disk.h"
#include "state/fleet_state.h"
#include "state/origins.h"
#include "state/own_state.h"
#include "state/owner_limits.h"
#include "state/owner_notes.h"
#include "state/pauses.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

namespace p2prc::state {
namespace {

using Names = std::vector<std::string>;

class OwnerNotesTest : public testing::Test {
  protected:
    void SetUp() override { open(); }
    void open() {
        own.reset();
        replica.reset();
        disk = std::make_unique<Disk>();
        replica = std::move(*Replica::open((directory.path() / "replica.db").string(), *disk));
        own = std::move(*OwnState::open((directory.path() / "own.db").string(), *disk));
    }
    // These nodes, by their keys, and processes on this one, by who has spun them.
    void fleet(const std::map<std::string, std::string>& nodes,
               const std::map<std::string, std::string>& processes = {}) {
        std::vector<Change> state;
        for (const auto& [name, key] : nodes) {
            NodeRecord node;
            node.name = name;
            node.key = key;
            state.push_back({keys::node(name), to_json(node), 0});
        }
        std::uint32_t id = 0;
        for (const auto& [name, spinner] : processes) {
            ProcessRecord record;
            record.id = ++id;
            record.name = record.spec.name = name;
            record.node = "attic";
            record.created_by = record.changed_by = "bob@" + spinner;
            record.spec.run.command = {"/bin/true"};
            record.digest = spec_digest(record.spec);
            state.push_back({keys::process(name), to_json(record), 0});
        }
        replica->reset("store", ++revision, state);
    }
    void follow() { follow_owners(*own, *replica, "attic"); }
    std::optional<std::uint32_t> tasks(const std::string& node) {
        const auto limit = OwnerLimits(*own).of(node);
        return limit ? limit->limits.tasks : std::nullopt;
    }
    void limit(const std::string& node, std::uint32_t tasks) {
        OwnerLimits(*own).set(node, {{.tasks = tasks}, "ada@attic", "2026-01-02T03:04:05Z"});
        follow();
    }
    bool is_paused(const std::string& node) { return Pauses(*own).of_owner(node).has_value(); }

    const std::string bobs = std::string(64, 'b'), others = std::string(64, 'c'), mine = std::string(64, 'a');
    net::TemporaryDirectory directory;
    std::unique_ptr<Disk> disk;
    std::unique_ptr<Replica> replica;
    std::unique_ptr<OwnState> own;
    std::uint64_t revision = 0;
};

TEST_F(OwnerNotesTest, LimitsAreKeptUntilTheyAreTakenAway) {
    fleet({{"bob", bobs}});
    const OwnerLimit all{{2ULL << 30, 150, 32}, "ada@attic", "2026-01-02T03:04:05Z"};
    OwnerLimits(*own).set("bob", all);
    follow();
    open();
    OwnerLimits limits(*own);
    EXPECT_EQ(limits.of("bob"), all);
    EXPECT_EQ(limits.nodes(), Names{"bob"});
    EXPECT_FALSE(limits.of("eve"));
    limits.set("bob", {{.tasks = 5}, "ada@attic", "2026-01-02T03:04:05Z"});
    EXPECT_FALSE(limits.of("bob")->limits.memory_bytes);
    EXPECT_TRUE(own->get(keys::owner_limit("bob"))->contains(owner_key)) << "whose they are is still known";
    limits.set("bob", {});
    EXPECT_TRUE(limits.nodes().empty());
}

TEST_F(OwnerNotesTest, FollowANodeThatComesBackUnderAnotherName) {
    fleet({{"attic", mine}, {"bob", bobs}});
    limit("bob", 5);
    Pauses(*own).pause_owner("bob", {"ada@attic", "2026-01-02T03:04:05Z"});
    follow();
    fleet({{"attic", mine}});
    follow();
    EXPECT_EQ(tasks("bob"), 5U) << "it has left, and may come back";
    fleet({{"attic", mine}, {"robert", bobs}});
    follow();
    EXPECT_EQ(tasks("robert"), 5U);
    EXPECT_FALSE(tasks("bob"));
    EXPECT_TRUE(is_paused("robert"));
    EXPECT_FALSE(is_paused("bob"));
}

// Records of what it spun before still have the former name. It has its limits once, under both.
TEST_F(OwnerNotesTest, StayForWhatWasSpunUnderTheFormerName) {
    fleet({{"attic", mine}, {"bob", bobs}});
    limit("bob", 5);
    Pauses(*own).pause_owner("bob", {"ada@attic", "2026-01-02T03:04:05Z"});
    follow();
    fleet({{"attic", mine}, {"robert", bobs}}, {{"game", "bob"}});
    follow();
    OwnerLimits limits(*own);
    EXPECT_EQ(tasks("robert"), 5U);
    EXPECT_EQ(tasks("bob"), 5U);
    EXPECT_EQ(limits.nodes(), Names{"robert"});
    EXPECT_EQ(limits.slice_name("robert"), "bob");
    EXPECT_EQ(limits.slice_name("bob"), "bob");
    limits.set("bob", {{.tasks = 6}, "ada@attic", "2026-01-02T03:04:05Z"});
    EXPECT_EQ(tasks("robert"), 6U);
    // And under a third.
    fleet({{"attic", mine}, {"rob", bobs}}, {{"game", "bob"}, {"chess", "robert"}});
    follow();
    for (const auto* name : {"bob", "robert", "rob"}) {
        EXPECT_EQ(tasks(name), 6U) << name;
        EXPECT_EQ(limits.slice_name(name), "bob") << name;
    }
    limits.set("rob", {});
    EXPECT_FALSE(tasks("bob"));
    EXPECT_EQ(limits.slice_name("bob"), "bob") << "what runs there is to have no limits";
    limits.set("rob", {{.tasks = 7}, "ada@attic", "2026-01-02T03:04:05Z"});
    // What is under a former name goes with what was spun under it.
    EXPECT_TRUE(is_paused("bob"));
    fleet({{"attic", mine}, {"rob", bobs}}, {{"chess", "robert"}});
    follow();
    EXPECT_FALSE(is_paused("bob"));
    EXPECT_FALSE(own->get(keys::owner_limit("bob")));
    EXPECT_EQ(tasks("robert"), 7U);
    // Another node of the first name has a slice of its own.
    EXPECT_EQ(limits.slice_name("bob"), "2:bob");
    fleet({{"attic", mine}, {"rob", bobs}, {"bob", others}}, {{"chess", "robert"}});
    limit("bob", 9);
    EXPECT_EQ(limits.slice_name("bob"), "2:bob");
    EXPECT_EQ(tasks("rob"), 7U);
}

TEST_F(OwnerNotesTest, AnotherNodeThatTakesTheNameHasNotesOfItsOwn) {
    fleet({{"attic", mine}, {"bob", bobs}});
    limit("bob", 5);
    Pauses(*own).pause_owner("bob", {"ada@attic", "2026-01-02T03:04:05Z"});
    follow();
    fleet({{"attic", mine}, {"robert", bobs}}, {{"game", "bob"}});
    follow();
    EXPECT_EQ(tasks("bob"), 5U);
    fleet({{"attic", mine}, {"robert", bobs}, {"bob", others}}, {{"game", "bob"}});
    follow();
    EXPECT_FALSE(tasks("bob"));
    EXPECT_FALSE(is_paused("bob"));
    limit("bob", 9);
    EXPECT_EQ(tasks("robert"), 5U);
}

// An update by another node brings that node's command.
TEST_F(OwnerNotesTest, WhatRunsIsWhoseUpdateItIs) {
    const Origins origins(*own);
    ProcessRecord record;
    record.id = 7;
    record.name = record.spec.name = "game";
    record.node = "attic";
    record.created_by = "bob@bob";
    record.spec.run.command = {"/bin/true"};
    EXPECT_EQ(origins.spinner(record, "attic"), "bob");
    record.revised_by = "eve@eve";
    EXPECT_EQ(origins.spinner(record, "attic"), "eve");
    Origins(*own).note(record.spec);
    EXPECT_EQ(origins.spinner(record, "attic"), "attic") << "it is asked for here";
    record.spec.run.command = {"/bin/false"};
    EXPECT_EQ(origins.spinner(record, "attic"), "eve");
}

// Of a time when that was not noted.
TEST_F(OwnerNotesTest, AnUpdateFromElsewhereIsNotTakenForOneFromHere) {
    std::vector<Change> state;
    for (const auto* by : {"ada@attic", "eve@eve"}) {
        ProcessRecord record;
        record.id = 7 + static_cast<std::uint32_t>(state.size());
        record.name = record.spec.name = std::string("game") + by[0];
        record.node = "attic";
        record.created_by = "ada@attic";
        record.revised_by = by;
        record.spec.run.command = {"/bin/true"};
        record.digest = spec_digest(record.spec);
        state.push_back({keys::process(record.name), to_json(record), 0});
    }
    replica->reset("store", ++revision, state);
    Origins origins(*own);
    origins.keep(*replica, "attic");
    EXPECT_TRUE(origins.here(*replica->records().process("gamea")->accepted()));
    EXPECT_FALSE(origins.here(*replica->records().process("gamee")->accepted()));
}

TEST_F(OwnerNotesTest, WhatIsNotedUnderTheNewNameStays) {
    fleet({{"attic", mine}, {"bob", bobs}, {"robert", others}});
    limit("bob", 5);
    limit("robert", 7);
    fleet({{"attic", mine}, {"robert", bobs}});
    follow();
    EXPECT_EQ(tasks("robert"), 7U);
}

// Such a note of an older version, or of before it was in the fleet.
TEST_F(OwnerNotesTest, AKeyIsNotedOnceItIsKnown) {
    limit("bob", 5);
    fleet({{"attic", mine}, {"bob", bobs}});
    follow();
    fleet({{"attic", mine}, {"robert", bobs}});
    follow();
    EXPECT_EQ(tasks("robert"), 5U);
}

TEST_F(OwnerNotesTest, OfThisNodeFollowItsOwnName) {
    fleet({{"attic", mine}, {"bob", bobs}});
    Pauses(*own).pause_owner("attic", {"ada@attic", "2026-01-02T03:04:05Z"});
    limit("bob", 5);
    rename_owner(*own, mine, "cellar");
    EXPECT_TRUE(is_paused("cellar"));
    EXPECT_FALSE(is_paused("attic"));
    EXPECT_EQ(tasks("bob"), 5U);
}

} // namespace
} // namespace p2prc::state
