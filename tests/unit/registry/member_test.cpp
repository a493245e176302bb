// Making the fleet, inviting, joining, leaving, keys.
#include "tests/unit/registry/fleet.h"

namespace p2prc::registry::test {
namespace {

using MemberRulesTest = FleetTest;

Json brought(int id, const std::string& name, int port) {
    return {{"id", id},
            {"name", name},
            {"node", "old"},
            {"port", port},
            {"created_by", "carol@old"},
            {"spec", {{"name", name}, {"port", port}, {"run", {{"command", {"/bin/cat"}}}}}}};
}

TEST_F(MemberRulesTest, AFleetOfOneThenARoot) {
    const auto alone = ok({"laptop", Role::Owner, "admin", true}, "fleet.init", {{"key", fingerprint('a')}});
    EXPECT_EQ(alone["zone"], "");
    EXPECT_EQ(alone["root"], "");
    EXPECT_EQ(at("/nodes/laptop")["role"], "owner");
    const Actor laptop{"laptop", Role::Owner, "admin", true};
    spin(laptop, spec("web", {{"port", 0}}));
    ok(laptop, "domain.map", {{"domain", "anything.example.org"}, {"process", "web"}});
    EXPECT_EQ(refused(laptop, "fleet.invite").code, ErrorCode::Conflict);
    const Json grown{{"name", "root"},
                     {"zone", "Home.Example."},
                     {"public_ips", {"203.0.113.1", "2001:db8::1"}},
                     {"acme", "none"}};
    const auto fleet = ok(laptop, "fleet.init", grown);
    EXPECT_EQ(fleet["zone"], "home.example");
    EXPECT_EQ(fleet["root"], "root");
    EXPECT_EQ(fleet["id"], alone["id"]);
    EXPECT_EQ(keys_below("/nodes/"), std::vector<std::string>{"/nodes/root"});
    EXPECT_EQ(at("/nodes/root")["key"], fingerprint('a'));
    EXPECT_EQ(at("/processes/web")["node"], "root");
    EXPECT_EQ(at("/domains/anything.example.org")["node"], "root");
    const auto before = registry_->store().revision();
    ok(root(), "fleet.init", grown);
    EXPECT_EQ(registry_->store().revision(), before);
    EXPECT_EQ(refused(root(), "fleet.init", {{"public_ips", {"home"}}}).code, ErrorCode::InvalidSpec);
    for (const auto* acme : {"letsencrypte", "", "http://ca.example/dir", "https://"})
        EXPECT_EQ(refused(root(), "fleet.init", {{"acme", acme}}).code, ErrorCode::InvalidSpec) << acme;
    EXPECT_EQ(refused(member("root", Role::Owner), "fleet.init").code, ErrorCode::NotPermitted)
        << "local only";
}

// A typing error can be taken back while nobody has been told of the zone.
TEST_F(MemberRulesTest, AZoneCanBeAnotherOneWhileNothingIsInIt) {
    make_fleet();
    const auto token = ok(root(), "fleet.invite")["id"].get<std::string>();
    spin(root(), spec("web", {{"port", 0}}));
    ok(root(), "domain.map", {{"domain", "web.home.example"}, {"process", "web"}});
    const auto mapped = refused(root(), "fleet.init", {{"zone", "right.example"}});
    EXPECT_EQ(mapped.code, ErrorCode::Conflict);
    EXPECT_THAT(mapped.message, HasSubstr("'web.home.example' is mapped in it"));
    EXPECT_THAT(mapped.hint, HasSubstr("p2prc unmap-domain web.home.example"));
    ok(root(), "domain.unmap", {{"domain", "web.home.example"}});
    EXPECT_TRUE(registry_->find_invitation(token));
    EXPECT_EQ(ok(root(), "fleet.init", {{"zone", "Right.Example"}})["zone"], "right.example");
    EXPECT_FALSE(registry_->find_invitation(token)) << "its token names the former zone";
    EXPECT_EQ(at("/fleet")["root"], "root");
    ok(root(), "domain.map", {{"domain", "web.right.example"}, {"process", "web"}});
    ok(root(), "domain.unmap", {{"domain", "web.right.example"}});
    add("home1", 'b');
    const auto others = refused(root(), "fleet.init", {{"zone", "home.example"}});
    EXPECT_EQ(others.code, ErrorCode::Conflict);
    EXPECT_THAT(others.message, HasSubstr("other members: home1"));
    EXPECT_THAT(others.hint, HasSubstr("p2prc nodes rm"));
}

// A name that comes free carries no rights.
TEST_F(MemberRulesTest, ANewNodeOfAnOldNameIsAnother) {
    make_fleet();
    add("home2", 'd');
    auto old = add("home1", 'b');
    spin(old, spec("made", {{"port", 0}}), "home2");
    spin(old, spec("web", {{"port", 0}}));
    ok(old, "domain.map", {{"domain", "made.home.example"}, {"process", "made"}});
    ok(old, "domain.map", {{"domain", "web.home.example"}, {"process", "web"}});
    ok(root(), "node.remove", {{"name", "home1"}});
    const auto fresh = add("home1", 'e');
    EXPECT_EQ(refused(fresh, "process.kill", {{"process", "made"}}).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(fresh, "domain.unmap", {{"domain", "made.home.example"}}).code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(refused(fresh, "domain.unmap", {{"domain", "web.home.example"}}).code, ErrorCode::NotPermitted);
    spin(fresh, spec("web", {{"port", 0}}));
    EXPECT_EQ(at("/domains/web.home.example")["node"], "") << "it led to another machine";
    // The machine itself has them again when it comes back, under that name or not at all.
    ok(fresh, "process.kill", {{"process", "web"}});
    ok(root(), "node.remove", {{"name", "home1"}});
    old = add("home1", 'b');
    ok(old, "process.stop", {{"process", "made"}});
    spin(old, spec("web", {{"port", 0}}));
    EXPECT_EQ(at("/domains/web.home.example")["node"], "home1");
}

TEST_F(MemberRulesTest, NothingBeforeTheFleetIsMade) {
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("a")}}).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(root(), "fleet.init", {{"name", "Not A Name"}}).code, ErrorCode::InvalidSpec);
}

TEST_F(MemberRulesTest, TheNodeKeepsItsNameOnceOthersKnowIt) {
    make_fleet();
    add("home1", 'b');
    EXPECT_EQ(refused(root(), "fleet.init", {{"name", "castle"}}).code, ErrorCode::Conflict);
}

TEST_F(MemberRulesTest, AnInvitationIsRedeemedOnceAndAgainByTheSameKey) {
    make_fleet();
    const auto invitation = ok(root(), "fleet.invite", {{"role", "member"}, {"expires_seconds", 600}});
    EXPECT_EQ(invitation["expires"], now_ + 600);
    EXPECT_EQ(invitation["secret"].get<std::string>().size(), 64u);
    const auto open_one = registry_->find_invitation(invitation["id"].get<std::string>());
    ASSERT_TRUE(open_one);
    EXPECT_EQ(open_one->secret, invitation["secret"]);
    EXPECT_TRUE(keys_below("/invit").empty()) << "never among what is replicated";
    const Json join{{"invitation", invitation["id"]},
                    {"name", "home1"},
                    {"key", fingerprint('b')},
                    {"connector_key", fingerprint('c')}};
    const auto welcome = ok(stranger(), "node.join", join);
    EXPECT_EQ(welcome["name"], "home1");
    EXPECT_EQ(welcome["role"], "member");
    EXPECT_EQ(welcome["fleet"]["zone"], "home.example");
    EXPECT_EQ(at("/nodes/home1")["connector_key"], fingerprint('c'));
    const auto before = registry_->store().revision();
    EXPECT_EQ(ok(stranger(), "node.join", join), welcome);
    EXPECT_EQ(registry_->store().revision(), before);
    auto other = join;
    other["key"] = fingerprint('d');
    other["connector_key"] = nullptr;
    const auto error = refused(stranger(), "node.join", other);
    EXPECT_EQ(error.code, ErrorCode::NotPermitted);
    EXPECT_THAT(error.message, HasSubstr("used by node 'home1'"));
    EXPECT_THAT(error.hint, HasSubstr("p2prc invite"));
    // Once removed, the same invitation does not let it in again.
    ok(root(), "node.remove", {{"name", "home1"}});
    EXPECT_EQ(refused(stranger(), "node.join", join).code, ErrorCode::NotPermitted);
}

TEST_F(MemberRulesTest, InvitationsOutliveARestartAndExpire) {
    make_fleet();
    const auto invitation = ok(root(), "fleet.invite", {{"expires_seconds", 60}});
    open();
    const auto id = invitation["id"].get<std::string>();
    EXPECT_TRUE(registry_->find_invitation(id));
    now_ += 60;
    EXPECT_FALSE(registry_->find_invitation(id));
    const auto error =
        refused(stranger(), "node.join", {{"invitation", id}, {"name", "home1"}, {"key", fingerprint('b')}});
    EXPECT_EQ(error.code, ErrorCode::NotPermitted);
    EXPECT_THAT(error.message, HasSubstr("expired"));
    EXPECT_EQ(ok(root(), "registry.sweep")["removed"], 1);
    EXPECT_THAT(
        refused(stranger(), "node.join", {{"invitation", id}, {"name", "home1"}, {"key", fingerprint('b')}})
            .message,
        HasSubstr("no such invitation"));
}

TEST_F(MemberRulesTest, WhoMayInviteWhom) {
    make_fleet();
    const auto home = add("home1", 'b');
    EXPECT_EQ(refused(home, "fleet.invite").code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(home, "fleet.invite").message,
              "node 'home1' has the role member; inviting nodes needs the role owner");
    EXPECT_EQ(refused(home, "node.remove", {{"name", "root"}}).message,
              "node 'home1' has the role member; removing nodes needs the role owner");
    EXPECT_EQ(refused(member("home1", Role::Owner), "fleet.invite").code, ErrorCode::NotPermitted)
        << "the role of the record counts";
    EXPECT_EQ(refused(root(), "fleet.invite", {{"role", "guest"}}).code, ErrorCode::NotSupported);
    EXPECT_EQ(refused(root(), "fleet.invite", {{"role", "king"}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "fleet.invite", {{"expires_seconds", 0}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "fleet.invite", {{"expires_seconds", 99999999}}).code, ErrorCode::InvalidSpec);
    const auto second = add("root2", 'd', "owner");
    ok(second, "fleet.invite");
}

TEST_F(MemberRulesTest, AJoiningNodeBringsItsProcesses) {
    make_fleet();
    spin(root(), spec("own"));
    const auto invitation = ok(root(), "fleet.invite");
    const Json domain{
        {"domain", "diary.home.example"}, {"process", "diary"}, {"from_file", true}, {"mapping_id", 1}};
    const auto before = registry_->store().revision();
    const auto welcome = ok(stranger(), "node.join",
                            {{"invitation", invitation["id"]},
                             {"name", "home1"},
                             {"key", fingerprint('b')},
                             {"processes", {brought(1, "diary", 5232), brought(2, "files", 8000)}},
                             {"domains", {domain}}});
    EXPECT_EQ(registry_->store().revision(), before + 1);
    EXPECT_EQ(welcome["processes"],
              Json::parse(R"([{"name":"diary","id":3,"old_id":1},{"name":"files","id":4,"old_id":2}])"));
    EXPECT_EQ(at("/processes/diary")["former_ids"], Json::array({1}));
    EXPECT_EQ(at("/processes/diary")["node"], "home1");
    EXPECT_EQ(at("/processes/diary")["created_by"], "carol@home1");
    EXPECT_EQ(at("/domains/diary.home.example")["process_id"], 3);
    EXPECT_EQ(at("/domains/diary.home.example")["node"], "home1");
    EXPECT_EQ(at("/domains/diary.home.example")["from_file"], true);
}

TEST_F(MemberRulesTest, AJoinThatBringsADomainOfTheOwnersSaysHowItCanJoin) {
    make_fleet();
    const auto join = [&](const std::string& domain) {
        const auto invitation = ok(root(), "fleet.invite");
        return refused(stranger(), "node.join",
                       {{"invitation", invitation["id"]},
                        {"name", "home1"},
                        {"key", fingerprint('b')},
                        {"domains", {{{"domain", domain}, {"process", "web"}, {"mapping_id", 1}}}}});
    };
    const auto zone = join("home.example");
    EXPECT_EQ(zone.code, ErrorCode::NotPermitted);
    EXPECT_THAT(zone.message, HasSubstr("the machine that joins has a domain mapped which it cannot bring"));
    EXPECT_EQ(zone.hint, "unmap it there first: p2prc unmap-domain home.example; or join with an owner's "
                         "invitation: p2prc invite --role owner");
    ok(root(), "domain.map", {{"domain", "www.home.example"}, {"process", "site"}});
    const auto taken = join("www.home.example");
    EXPECT_EQ(taken.code, ErrorCode::DomainTaken);
    EXPECT_EQ(taken.hint, "unmap it there first: p2prc unmap-domain www.home.example");
}

TEST_F(MemberRulesTest, ABroughtDomainChangesNoneThatWaitsHere) {
    make_fleet();
    ok(root(), "domain.map", {{"domain", "diary.home.example"}, {"process", "diary"}});
    const auto before = at("/domains/diary.home.example");
    auto join = Json{{"invitation", ok(root(), "fleet.invite")["id"]},
                     {"name", "home1"},
                     {"key", fingerprint('b')},
                     {"processes", {brought(1, "diary", 5232)}}};
    auto taking = join;
    taking["domains"] = {
        {{"domain", "diary.home.example"}, {"process", "diary"}, {"tls", "passthrough"}, {"more", 1}}};
    EXPECT_EQ(refused(stranger(), "node.join", taking).code, ErrorCode::DomainTaken);
    ok(stranger(), "node.join", join);
    EXPECT_EQ(at("/domains/diary.home.example"), before) << "the owner's visitors went to who came";
}

// Where a mapping led in another registry means nothing here: nodes of that name are others.
TEST_F(MemberRulesTest, ABroughtDomainPublishesNobodyElsesProcess) {
    make_fleet();
    const auto victim = add("home2", 'c');
    const Json door{
        {"domain", "door.home.example"}, {"process", "diary"}, {"last_node", "home2"}, {"junk", "much"}};
    ok(stranger(), "node.join",
       {{"invitation", ok(root(), "fleet.invite")["id"]},
        {"name", "home1"},
        {"key", fingerprint('b')},
        {"domains", {door}}});
    EXPECT_FALSE(at("/domains/door.home.example").contains("junk"));
    spin(victim, spec("diary", {{"port", 0}}));
    EXPECT_EQ(at("/domains/door.home.example")["process_id"], 0);
}

TEST_F(MemberRulesTest, ATakenNameRefusesTheWholeJoin) {
    make_fleet();
    spin(root(), spec("files", {{"port", 0}, {"domain", "files.home.example"}}));
    const auto invitation = ok(root(), "fleet.invite");
    const Json join{{"invitation", invitation["id"]}, {"name", "home1"}, {"key", fingerprint('b')}};
    auto with_process = join;
    with_process["processes"] = {brought(1, "diary", 5232), brought(2, "files", 8000)};
    const auto error = refused(stranger(), "node.join", with_process);
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("'files' is taken in the fleet, on node 'root'"));
    EXPECT_EQ(at("/nodes/home1"), Json());
    auto with_domain = join;
    with_domain["domains"] = {{{"domain", "files.home.example"}, {"process", "diary"}}};
    EXPECT_EQ(refused(stranger(), "node.join", with_domain).code, ErrorCode::DomainTaken);
    with_domain["domains"] = {{{"domain", "home.example"}, {"process", "diary"}}};
    EXPECT_EQ(refused(stranger(), "node.join", with_domain).code, ErrorCode::NotPermitted);
    auto as_root = join;
    as_root["name"] = "root";
    EXPECT_THAT(refused(stranger(), "node.join", as_root).hint, HasSubstr("--name"));
    ok(stranger(), "node.join", join); // the invitation is still good
}

TEST_F(MemberRulesTest, KeysBelongToOneNode) {
    make_fleet();
    const auto home = add("home1", 'b');
    const auto invitation = ok(root(), "fleet.invite");
    const auto join = [&](Json more) {
        Json params{{"invitation", invitation["id"]}, {"name", "home2"}, {"key", fingerprint('c')}};
        params.update(more);
        return params;
    };
    EXPECT_EQ(refused(stranger(), "node.join", join({{"key", fingerprint('a')}})).code, ErrorCode::Conflict);
    EXPECT_EQ(refused(stranger(), "node.join", join({{"connector_key", fingerprint('b')}})).code,
              ErrorCode::Conflict);
    EXPECT_EQ(refused(stranger(), "node.join", join({{"connector_key", fingerprint('c')}})).code,
              ErrorCode::Conflict);
    EXPECT_EQ(refused(stranger(), "node.join", join({{"key", "short"}})).code, ErrorCode::InvalidSpec);
    ok(home, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('e')}});
    EXPECT_EQ(at("/nodes/home1")["connector_key"], fingerprint('e'));
    EXPECT_EQ(refused(root(), "node.register_key", {{"kind", "connector"}, {"key", fingerprint('e')}}).code,
              ErrorCode::Conflict);
    EXPECT_EQ(refused(home, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('b')}}).code,
              ErrorCode::Conflict);
    EXPECT_EQ(refused(home, "node.register_key", {{"kind", "edge"}, {"key", fingerprint('f')}}).code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(refused(home, "node.register_key", {{"kind", "door"}, {"key", fingerprint('f')}}).code,
              ErrorCode::InvalidSpec);
    ok(root(), "node.register_key", {{"kind", "edge"}, {"key", fingerprint('f')}});
}

// Keys are public in a fleet, and a connector's is its node's word.
TEST_F(MemberRulesTest, AKeyThatAnotherOnlyNamesKeepsNobodyOut) {
    make_fleet();
    const auto home = add("home1", 'b');
    const auto other = add("home2", 'c');
    ok(other, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('d')}});
    ok(other, "node.leave");
    const auto back = [&] {
        return Json{{"invitation", ok(root(), "fleet.invite")["id"]},
                    {"name", "home2"},
                    {"key", fingerprint('c')},
                    {"connector_key", fingerprint('d')}};
    };
    ok(home, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('c')}});
    ok(stranger(), "node.join", back());
    EXPECT_EQ(at("/nodes/home1")["connector_key"], "");
    EXPECT_EQ(at("/nodes/home2")["connector_key"], fingerprint('d'));
    ok(other, "node.leave");
    ok(home, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('d')}});
    ok(stranger(), "node.join", back());
    EXPECT_EQ(at("/nodes/home2")["connector_key"], "") << "it makes itself another one";
    ok(other, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('e')}});
}

TEST_F(MemberRulesTest, AMachineThatComesBackReplacesWhatItHadHere) {
    make_fleet();
    const auto home = add("home1", 'b');
    spin(home, spec("diary", {{"port", 5232}}));
    ok(root(), "domain.map", {{"domain", "diary.home.example"}, {"process", "diary"}});
    const auto invitation = ok(root(), "fleet.invite");
    ok(stranger(), "node.join",
       {{"invitation", invitation["id"]},
        {"name", "home1"},
        {"key", fingerprint('b')},
        {"processes", {brought(1, "diary", 5232)}}});
    EXPECT_EQ(at("/processes/diary")["id"], 2);
    EXPECT_EQ(at("/domains/diary.home.example")["process_id"], 2);
    EXPECT_TRUE(keys_below("/tombstones/").empty());
}

TEST_F(MemberRulesTest, LeavingTakesTheProcessesAlongAndKillsNothing) {
    make_fleet();
    const auto home = add("home1", 'b');
    spin(home, spec("diary", {{"port", 5232}, {"domain", "diary.home.example"}}));
    ok(root(), "domain.map", {{"domain", "www.home.example"}, {"process", "diary"}});
    ok(home, "status.put",
       {{"items", {{"/status/home1/1", {{"id", 1}}}, {"/info/home1", {{"ipv4", "10.0.0.2"}}}}}});
    ok(root(), "node.live", {{"node", "home1"}, {"state", "up"}});
    ok(home, "node.leave");
    for (const auto* prefix : {"/nodes/home1", "/processes/", "/status/", "/info/", "/live/", "/tombstones/"})
        EXPECT_TRUE(keys_below(prefix).empty()) << prefix;
    EXPECT_EQ(keys_below("/domains/"), std::vector<std::string>{"/domains/www.home.example"});
    EXPECT_EQ(refused(home, "node.leave").code, ErrorCode::NotPermitted);
}

TEST_F(MemberRulesTest, RemovalIsTheOwnersAndNeverOfTheRoot) {
    make_fleet();
    const auto home = add("home1", 'b');
    EXPECT_EQ(refused(home, "node.remove", {{"name", "root"}}).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(root(), "node.remove", {{"name", "root"}}).code, ErrorCode::Conflict);
    EXPECT_EQ(refused(root(), "node.leave").code, ErrorCode::Conflict);
    EXPECT_EQ(refused(root(), "node.remove", {{"name", "mars"}}).code, ErrorCode::NotFound);
    ok(root(), "node.remove", {{"name", "home1"}});
    EXPECT_EQ(refused(home, "status.update").code, ErrorCode::NotPermitted)
        << "a request that was on its way";
    EXPECT_EQ(refused(root(), "node.leave").code, ErrorCode::Conflict);
}

TEST_F(MemberRulesTest, ExportIsForAFleetOfOne) {
    make_fleet();
    spin(root(), spec("diary", {{"port", 0}, {"domain", "diary.home.example"}}));
    const auto all = ok(root(), "fleet.export");
    EXPECT_EQ(all["processes"][0]["name"], "diary");
    EXPECT_EQ(all["domains"][0]["domain"], "diary.home.example");
    const auto home = add("home1", 'b');
    const auto error = refused(root(), "fleet.export");
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("home1"));
    EXPECT_EQ(refused(home, "fleet.export").code, ErrorCode::NotPermitted);
}

TEST_F(MemberRulesTest, OnlyTransitionsOfLivenessAreWritten) {
    make_fleet();
    const auto home = add("home1", 'b');
    EXPECT_EQ(ok(root(), "node.live", {{"node", "home1"}, {"state", "up"}})["changed"], true);
    const auto before = registry_->store().revision();
    now_ += 10;
    EXPECT_EQ(ok(root(), "node.live", {{"node", "home1"}, {"state", "up"}})["changed"], false);
    EXPECT_EQ(ok(root(), "node.live", {{"node", "gone"}, {"state", "up"}})["changed"], false);
    EXPECT_EQ(registry_->store().revision(), before);
    ok(root(), "node.live", {{"node", "home1"}, {"state", "suspect"}, {"heard", "2026-02-01T10:00:00Z"}});
    // A root that has not heard of it itself leaves what was known.
    ok(root(), "node.live", {{"node", "home1"}, {"state", "lost"}});
    EXPECT_EQ(at("/live/home1")["heard"], "2026-02-01T10:00:00Z");
    EXPECT_EQ(at("/live/home1")["state"], "lost");
    EXPECT_EQ(at("/live/home1")["since"], "2027-01-15T08:00:10Z");
    EXPECT_EQ(refused(home, "node.live", {{"node", "home1"}, {"state", "up"}}).code, ErrorCode::NotPermitted);
}

TEST_F(MemberRulesTest, LabelsAreSetByTheNodeItselfAndByOwners) {
    make_fleet();
    const auto home = add("home1", 'b'), other = add("home2", 'c'), castle = add("castle", 'd', "owner");
    ok(home, "node.label", {{"node", "home1"}, {"set", {{"ssd", ""}, {"room", "attic"}}}});
    EXPECT_EQ(at("/nodes/home1")["labels"], (Json{{"ssd", ""}, {"room", "attic"}}));
    ok(castle, "node.label",
       {{"node", "home1"}, {"set", {{"room", "cellar"}}}, {"remove", {"ssd", "absent"}}});
    EXPECT_EQ(at("/nodes/home1")["labels"], (Json{{"room", "cellar"}}));
    EXPECT_EQ(refused(other, "node.label", {{"node", "home1"}, {"set", {{"a", ""}}}}).code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(refused(other, "node.custom", {{"node", "home1"}, {"custom", {{"a", "b"}}}}).code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(refused(home, "node.label", {{"node", "attic"}, {"set", {{"a", ""}}}}).code,
              ErrorCode::NotFound);
    for (const auto& set : {Json{{"a b", ""}}, Json{{"a", "b c"}}, Json{{"a", 1}}, Json{{"", ""}}, Json("a")})
        EXPECT_EQ(refused(home, "node.label", {{"node", "home1"}, {"set", set}}).code, ErrorCode::InvalidSpec)
            << set;
    Json many;
    for (std::size_t i = 0; i < most_labels; ++i)
        many["k" + std::to_string(i)] = "";
    EXPECT_THAT(refused(home, "node.label", {{"node", "home1"}, {"set", many}}).message,
                HasSubstr("65 labels"));
    ok(home, "node.custom", {{"node", "home1"}, {"custom", {{"stands in", "the attic"}}}});
    EXPECT_EQ(at("/nodes/home1")["custom"], (Json{{"stands in", "the attic"}}));
    EXPECT_EQ(refused(home, "node.custom", {{"node", "home1"}, {"custom", {{"a", {1, 2}}}}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(
        refused(home, "node.custom", {{"node", "home1"}, {"custom", {{"a", std::string(5000, 'x')}}}}).code,
        ErrorCode::InvalidSpec);
    ok(home, "node.custom", {{"node", "home1"}, {"custom", Json::object()}});
    EXPECT_FALSE(at("/nodes/home1").contains("custom"));
    ok(home, "node.register_key", {{"kind", "connector"}, {"key", fingerprint('e')}});
    EXPECT_EQ(at("/nodes/home1")["labels"], (Json{{"room", "cellar"}})) << "another change keeps them";
}

} // namespace
} // namespace p2prc::registry::test
