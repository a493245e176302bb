// What the registry does with a family of keys follows from its row: a family that only this test has.
#include "core/keys.h"
#include "registry/owned_keys.h"
#include "tests/unit/registry/fleet.h"

namespace p2prc::registry::test {
namespace {

using keys::ExtraFamily;
using keys::Family;
using keys::Kind;
using keys::Part;

constexpr Family claims{.prefix = "/claims/",
                        .kind = Kind::Agreed,
                        .parts = {Part::Digest},
                        .node = keys::node_in_value,
                        .dropped_with_node = true,
                        .renamed_with_node = true};
constexpr Family leases{.prefix = "/leases/",
                        .kind = Kind::Owned,
                        .parts = {Part::Node, Part::Id},
                        .node = keys::node_in_key,
                        .dropped_with_node = true,
                        .share = keys::Share::Owned};

class FamiliesTest : public FleetTest {
  protected:
    FamiliesTest() {
        make_fleet();
        home_ = add("home1", 'b');
        other_ = add("home2", 'c');
    }
    Json upload(const char* key) { return {{"set", {{key, {{"until", 7}}}}}}; }

    ExtraFamily claims_{claims};
    ExtraFamily leases_{leases};
    Actor home_, other_;
};

TEST_F(FamiliesTest, AnOwnedOneIsWrittenByItsNodeAlone) {
    ok(home_, "status.update", upload("/leases/home1/7"));
    EXPECT_EQ(at("/leases/home1/7")["until"], 7);
    EXPECT_EQ(refused(other_, "status.update", upload("/leases/home1/7")).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(home_, "status.update", upload("/leases/home1/x")).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(home_, "status.update", upload("/claims/home1")).code, ErrorCode::NotPermitted);
    ok(home_, "status.put", {{"items", Json::object()}});
    EXPECT_EQ(at("/leases/home1/7"), Json());
}

TEST_F(FamiliesTest, AnOwnedOneGoesWithItsNode) {
    ok(home_, "status.update", upload("/leases/home1/7"));
    ok(other_, "status.update", upload("/leases/home2/8"));
    ok(root(), "node.remove", {{"name", "home1"}});
    EXPECT_EQ(keys_below("/leases/"), std::vector<std::string>{"/leases/home2/8"});
}

TEST(FamiliesOfADraft, AgreedOnesAreDroppedAndRenamedByTheirValue) {
    const ExtraFamily extra(claims);
    const Mirror mirror{};
    Draft draft(mirror);
    draft.put("/claims/a", {{"node", "home1"}, {"more", 1}});
    draft.put("/claims/b", {{"node", "home2"}});
    rules::rename_all_of(draft, "home1", "cellar");
    EXPECT_EQ((*draft.get("/claims/a"))["node"], "cellar");
    EXPECT_EQ((*draft.get("/claims/a"))["more"], 1);
    rules::erase_all_of(draft, "home2");
    EXPECT_EQ(draft.keys_below("/claims/"), std::vector<std::string>{"/claims/a"});
}

TEST(FamiliesOfADraft, OwnedOnesCountAsTheShareOfTheirNode) {
    const ExtraFamily extra(leases);
    Mirror mirror;
    Draft draft(mirror);
    draft.put("/leases/home1/7", {{"until", 7}});
    EXPECT_EQ(draft.share_of("home1").owned_keys, 1);
    EXPECT_EQ(draft.share_of("home1").owned_bytes, 15 + 11);
    draft.apply_to(mirror);
    Draft next(mirror);
    next.put("/leases/home1/7", {{"until", 17}});
    EXPECT_EQ(next.share_of("home1").owned_keys, 1);
    EXPECT_EQ(next.share_of("home1").owned_bytes, 15 + 12);
    next.erase("/leases/home1/7");
    next.erase("/leases/home1/7");
    EXPECT_EQ(next.share_of("home1"), Share{});
}

} // namespace
} // namespace p2prc::registry::test
