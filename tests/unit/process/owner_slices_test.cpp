// In which slices processes run, by who has spun them.
#include "tests/unit/process/reconciler_fixture.h"

namespace p2prc::process {
namespace {

TEST(OwnerSlices, HaveNamesBelowTheSliceOfAllProcesses) {
    EXPECT_EQ(owner_slice("attic"), "p2prc-attic.slice");
    EXPECT_EQ(owner_slice("big-attic"), "p2prc-big\\x2dattic.slice");
    for (const auto* slice : {"p2prc.slice", "p2prc-attic.slice", "p2prc-big\\x2dattic.slice"})
        EXPECT_TRUE(is_process_slice(slice)) << slice;
    for (const auto* slice : {"", "system.slice", "p2prc", "p2prcd.slice", "p2prc-attic.service"})
        EXPECT_FALSE(is_process_slice(slice)) << slice;
}

// UNIT_NAME_MAX, and NAME_MAX of its directory.
TEST(OwnerSlices, HaveNamesThatFit) {
    EXPECT_LE(owner_slice("a" + std::string(40, '-') + "z").size(), 255U);
    const auto long_one = owner_slice(std::string(300, 'a'));
    EXPECT_LE(long_one.size(), 255U);
    EXPECT_NE(long_one, owner_slice(std::string(301, 'a')));
}

// What only a faulty registry calls a node.
TEST(OwnerSlices, OfNoNodeAreStillBelow) {
    for (const auto* name : {"", "-", "a--", "../etc", "a/b", "\xc3\xa9", "p2prc.slice"}) {
        const auto slice = owner_slice(name);
        EXPECT_TRUE(slice.starts_with("p2prc-_")) << slice;
        EXPECT_EQ(slice.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-."), std::string::npos)
            << slice;
        EXPECT_EQ(slice.find("--"), std::string::npos) << slice;
    }
}

class OwnerSlicesTest : public ReconcilerTest {
  protected:
    std::string slice_of(const std::string& name) const {
        for (const auto& property : systemd.started.at(name))
            if (property.name == "Slice") return property.value.get<std::string>();
        return "none";
    }
    ProcessRecord remote(std::uint32_t id, const std::string& name, const std::string& node) {
        auto result = record(id, name);
        result.created_by = "eve@" + node;
        return result;
    }
};

TEST_F(OwnerSlicesTest, EachOwnersProcessesAreInItsOwn) {
    start();
    const auto mine = record();
    state::Origins(*own).note(mine.spec);
    want(mine);
    want(remote(8, "game", "den"));
    want(remote(9, "chess", "big-attic"));
    EXPECT_EQ(slice_of(unit), "p2prc.slice");
    EXPECT_EQ(slice_of("p2prc-game.service"), "p2prc-den.slice");
    EXPECT_EQ(slice_of("p2prc-chess.service"), "p2prc-big\\x2dattic.slice");
    // A registry that says so does not make it this node's own.
    auto claimed = remote(10, "claimed", "home1");
    want(claimed);
    EXPECT_EQ(slice_of("p2prc-claimed.service"), "p2prc-home1.slice");
}

TEST_F(OwnerSlicesTest, WhatRunsInTheOldOneStaysUntilItsNextStart) {
    start();
    want(remote(8, "game", "den"));
    daemon_restart();
    EXPECT_EQ(count("start p2prc-game.service"), 0);
}

} // namespace
} // namespace p2prc::process
