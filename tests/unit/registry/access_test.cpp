// Who may call what over which link.
#include "core/text.h"
#include "registry/methods.h"
#include "tests/unit/registry/fleet.h"

#include <set>

namespace p2prc::registry::test {
namespace {

class AccessTest : public FleetTest {
  protected:
    AccessTest() {
        make_fleet();
        member_ = add("home1", 'b');
        owner_ = add("castle", 'c', "owner");
    }

    // Whether the caller gets to the rule, which refuses an empty request, but not as not permitted.
    bool let_through(const Actor& actor, std::string_view method) {
        const auto result = registry_->execute(actor, method, Json::object());
        if (result && method == "node.leave")
            add(actor.node, actor.node == "home1" ? 'b' : 'c', actor.node == "home1" ? "member" : "owner");
        return result || result.error().code != ErrorCode::NotPermitted;
    }

    Actor member_, owner_;
};

// The table once more, by hand: a method that is added has to be added here as well.
TEST_F(AccessTest, EachMethodIsForItsKindsOfCallers) {
    const std::set<std::string_view> local{"fleet.init", "fleet.export", "fleet.import", "node.live",
                                           "registry.sweep"};
    const std::set<std::string_view> owners{"fleet.invite", "node.remove"};
    const std::set<std::string_view> guests{"node.join"};
    Actor claims_owner = member_; // a role that its record does not have
    claims_owner.role = Role::Owner;
    Actor removed = member("gone", Role::Owner);
    Actor named_guest = stranger();
    named_guest.role = Role::Owner;
    for (const auto& method : method_table()) {
        SCOPED_TRACE(method.name);
        const bool for_local = local.contains(method.name), for_owners = owners.contains(method.name),
                   for_guests = guests.contains(method.name);
        const bool for_members = !for_local && !for_owners && !for_guests;
        EXPECT_EQ(let_through(root(), method.name), !for_guests);
        EXPECT_EQ(let_through(owner_, method.name), for_owners || for_members);
        EXPECT_EQ(let_through(member_, method.name), for_members);
        EXPECT_EQ(let_through(claims_owner, method.name), for_members);
        EXPECT_EQ(let_through(removed, method.name), false);
        EXPECT_EQ(let_through(stranger(), method.name), for_guests);
        EXPECT_EQ(let_through(named_guest, method.name), for_guests);
    }
}

// A member that holds one more token must not admit itself under another's key: that drops the other node.
TEST_F(AccessTest, AMemberCannotJoinInAnothersPlace) {
    const auto victim = add("home2", 'd');
    spin(victim, spec("web", {{"port", 8080}}));
    const auto invitation = ok(root(), "fleet.invite", {{"role", "owner"}});
    const Json request{{"invitation", invitation["id"]}, {"key", fingerprint('d')}, {"name", "ghost"}};
    for (const auto& actor : {member_, owner_, victim, root()})
        EXPECT_EQ(refused(actor, "node.join", request).code, ErrorCode::NotPermitted) << actor.node;
    EXPECT_EQ(at("/nodes/home2")["key"], fingerprint('d'));
    EXPECT_EQ(at("/processes/web")["node"], "home2");
}

// Whatever is looked up, compared or quoted is short and one line; the refusal names what is not.
TEST_F(AccessTest, TextsOfRequestsAreShortLines) {
    const std::vector<std::pair<std::string_view, const char*>> texts{
        {"process.spin", "node"},       {"process.stop", "process"},     {"process.start", "process"},
        {"process.kill", "process"},    {"process.restart", "process"},  {"domain.map", "domain"},
        {"domain.unmap", "domain"},     {"challenge.publish", "domain"}, {"challenge.remove", "domain"},
        {"certificate.sign", "domain"}, {"node.register_key", "kind"},   {"fleet.invite", "role"},
        {"node.remove", "name"}};
    for (const auto& [method, key] : texts) {
        SCOPED_TRACE(method);
        Json request{{"spec", spec("web")}};
        for (const auto& bad : {std::string(1'000'000, 'a'), std::string("a\nb"),
                                std::string("a\xEF\xBF\xBF"), std::string("a\0b", 3)}) {
            request[key] = bad;
            const auto error = refused(owner_, method, request);
            EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
            EXPECT_THAT(error.message, HasSubstr(std::string("'") + key + "'"));
            EXPECT_LT(error.message.size(), 300U);
            EXPECT_TRUE(text::fits_bus(error.message));
        }
    }
    const auto error = refused(owner_, "node.remove", {{"name", std::string(99, 'a') + "\xC3\xA9"}});
    EXPECT_EQ(error.code, ErrorCode::NotFound);
    EXPECT_TRUE(text::fits_bus(error.message)) << "cut between characters";
}

// Each limit is a member's own: others go on, and removing it frees all.
TEST_F(AccessTest, AMemberHasItsShareAndNoMore) {
    auto processes = Json::array();
    auto domains = Json::array();
    for (int i = 0; i < 1001; ++i)
        processes.push_back({{"id", i + 1}, {"spec", spec("p" + std::to_string(i), {{"port", 0}})}});
    for (int i = 0; i < 2001; ++i)
        domains.push_back({{"domain", "d" + std::to_string(i) + ".home.example"}, {"process", "p0"}});
    const auto join = [&] {
        return Json{{"invitation", ok(root(), "fleet.invite")["id"]},
                    {"name", "home2"},
                    {"key", fingerprint('d')},
                    {"processes", processes},
                    {"domains", domains}};
    };
    EXPECT_THAT(refused(stranger(), "node.join", join()).message, HasSubstr("may map 2000"));
    domains.erase(0);
    domains.erase(0);
    EXPECT_THAT(refused(stranger(), "node.join", join()).message, HasSubstr("may have 1000"));
    processes.erase(1000);
    ok(stranger(), "node.join", join());
    const auto full = member("home2");
    EXPECT_EQ(refused(full, "process.spin", {{"spec", spec("more")}}).code, ErrorCode::Conflict);
    // What has still to end counts, so that killing on a node that is away makes no room.
    ok(full, "process.kill", {{"process", "p1"}});
    EXPECT_EQ(refused(full, "process.spin", {{"spec", spec("more")}}).code, ErrorCode::Conflict);
    ok(full, "domain.map", {{"domain", "last.home.example"}, {"process", "p0"}});
    EXPECT_EQ(refused(full, "domain.map", {{"domain", "more.home.example"}, {"process", "p0"}}).code,
              ErrorCode::Conflict);
    ok(full, "domain.map", {{"domain", "last.home.example"}, {"process", "p0"}, {"tls", "passthrough"}});
    spin(member_, spec("theirs", {{"port", 0}, {"domain", "theirs.home.example"}}));
    ok(root(), "node.remove", {{"name", "home2"}});
    EXPECT_EQ(keys_below("/processes/").size(), 1U);
}

TEST_F(AccessTest, SpecificationsAreSmallAlsoInAll) {
    const auto large = [&](const std::string& name, std::size_t size) {
        return spec(name, {{"run", {{"command", {"/bin/sh", "-c", std::string(size, 'x')}}}}});
    };
    const auto one = refused(member_, "process.spin", {{"spec", large("a", 64 * 1024)}});
    EXPECT_EQ(one.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(one.message, HasSubstr("65536"));
    for (int i = 0; i < 69; ++i)
        spin(member_, large("p" + std::to_string(i), 60'000));
    const auto all = refused(member_, "process.spin", {{"spec", large("more", 60'000)}});
    EXPECT_EQ(all.code, ErrorCode::Conflict);
    EXPECT_THAT(all.message, HasSubstr("4194304"));
    spin(owner_, large("theirs", 60'000));
}

TEST_F(AccessTest, DomainsAreSmallInAll) {
    plant("/domains/fat.home.example", {{"mapping_id", 9},
                                        {"domain", "fat.home.example"},
                                        {"process", "later"},
                                        {"created_by", "friend@" + member_.node},
                                        {"junk", std::string(2u << 20, 'x')}});
    const auto error = refused(member_, "domain.map", {{"domain", "x.home.example"}, {"process", "later"}});
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("2097152"));
    ok(member_, "domain.unmap", {{"domain", "fat.home.example"}});
    ok(member_, "domain.map", {{"domain", "x.home.example"}, {"process", "later"}});
}

TEST_F(AccessTest, InvitationsOfANodeAreLimited) {
    for (int i = 0; i < 200; ++i)
        ok(owner_, "fleet.invite");
    EXPECT_EQ(refused(owner_, "fleet.invite").code, ErrorCode::Conflict);
    ok(root(), "fleet.invite");
    now_ += 3601;
    ok(owner_, "fleet.invite");
}

} // namespace
} // namespace p2prc::registry::test
