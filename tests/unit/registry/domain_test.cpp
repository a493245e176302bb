// Who holds which domain; challenges and certificates.
#include "tests/unit/registry/fleet.h"

namespace p2prc::registry::test {
namespace {

class DomainRulesTest : public FleetTest {
  protected:
    DomainRulesTest() {
        make_fleet();
        one_ = add("home1", 'b');
        two_ = add("home2", 'c');
        spin(one_, spec("web", {{"port", 8080}}));
    }
    Json map(const Actor& actor, const std::string& domain, const std::string& process,
             Json more = Json::object()) {
        Json params{{"domain", domain}, {"process", process}};
        params.update(more);
        return ok(actor, "domain.map", params);
    }
    // What a challenge may hold: as long as a digest.
    static std::string value(char first) { return first + std::string(42, 'A'); }
    Error map_refused(const Actor& actor, const std::string& domain, const std::string& process,
                      Json more = Json::object()) {
        Json params{{"domain", domain}, {"process", process}};
        params.update(more);
        return refused(actor, "domain.map", params);
    }

    Actor one_, two_;
};

TEST_F(DomainRulesTest, AMappingLeadsToTheProcess) {
    const auto mapping = map(one_, "Web.Home.Example.", "web");
    EXPECT_EQ(mapping["domain"], "web.home.example");
    EXPECT_EQ(mapping["node"], "home1");
    EXPECT_EQ(mapping["port"], 8080);
    EXPECT_EQ(mapping["tls"], "node");
    EXPECT_EQ(mapping["from_file"], false);
    EXPECT_EQ(mapping["created_by"], "friend@home1");
    EXPECT_EQ(at("/domains/web.home.example"), mapping);
}

TEST_F(DomainRulesTest, TheFirstLabelIsTheDefaultProcess) {
    EXPECT_EQ(map(one_, "web.home.example", "")["process"], "web");
    EXPECT_EQ(map_refused(root(), "home.example", "9").code, ErrorCode::NotFound);
    EXPECT_EQ(map_refused(root(), "*.home.example", "").code, ErrorCode::InvalidSpec);
}

TEST_F(DomainRulesTest, ASecondClaimNamesTheHolder) {
    map(one_, "www.home.example", "web");
    spin(two_, spec("rival", {{"port", 8080}}));
    const auto error = map_refused(two_, "www.home.example", "rival");
    EXPECT_EQ(error.code, ErrorCode::DomainTaken);
    EXPECT_THAT(error.message, HasSubstr("process 'web' on node 'home1'"));
    EXPECT_THAT(error.hint, HasSubstr("unmap-domain www.home.example"));
    const auto spun = refused(two_, "process.spin",
                              {{"spec", spec("late", {{"port", 0}, {"domain", "www.home.example"}})}});
    EXPECT_EQ(spun.code, ErrorCode::DomainTaken);
    EXPECT_EQ(at("/processes/late"), Json());
}

TEST_F(DomainRulesTest, TheSameAgainDoesNothingAndOptionsMayChange) {
    const auto mapping = map(one_, "www.home.example", "web");
    const auto before = registry_->store().revision();
    EXPECT_EQ(map(one_, "www.home.example", "web"), mapping);
    EXPECT_EQ(registry_->store().revision(), before);
    const auto changed = map(one_, "www.home.example", "web", {{"tls", "passthrough"}});
    EXPECT_EQ(changed["tls"], "passthrough");
    EXPECT_EQ(changed["mapping_id"], mapping["mapping_id"]);
}

TEST_F(DomainRulesTest, ADomainMayWaitForItsProcess) {
    const auto waiting = map(two_, "later.home.example", "later");
    EXPECT_EQ(waiting["process_id"], 0);
    EXPECT_EQ(waiting["node"], "");
    spin(two_, spec("later", {{"port", 0}}));
    const auto led = at("/domains/later.home.example");
    EXPECT_EQ(led["node"], "home2");
    EXPECT_EQ(led["port"], at("/processes/later")["port"]);
}

TEST_F(DomainRulesTest, AFileMayNameTheDomainThatWaitsForIt) {
    map(two_, "later.home.example", "later", {{"tls", "passthrough"}});
    spin(two_, spec("later", {{"port", 0}, {"domain", "later.home.example"}}));
    const auto led = at("/domains/later.home.example");
    EXPECT_EQ(led["node"], "home2");
    EXPECT_EQ(led["tls"], "passthrough");
    EXPECT_EQ(led["from_file"], false) << "it was mapped before, so it stays after a kill";
}

TEST_F(DomainRulesTest, ThePortMustBeOneThatIsDeclared) {
    EXPECT_EQ(map_refused(one_, "www.home.example", "web", {{"port", 22}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(map_refused(one_, "www.home.example", "web", {{"port", 0}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(map_refused(one_, "www.home.example", "web", {{"port", "x"}}).code, ErrorCode::InvalidSpec);
    map(one_, "www.home.example", "web", {{"port", 8080}});
    spin(one_, spec("mute"));
    const auto error = map_refused(one_, "mute.home.example", "mute");
    EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(error.message, HasSubstr("declares no port"));
}

TEST_F(DomainRulesTest, AWaitingDomainTakesOnlyThePortThatWasAskedFor) {
    map(two_, "later.home.example", "later", {{"port", 9000}});
    spin(two_, spec("later", {{"port", 9001}}));
    EXPECT_EQ(at("/domains/later.home.example")["node"], "");
    ok(two_, "process.kill", {{"process", "later"}});
    spin(two_, spec("later", {{"port", 9000}}));
    EXPECT_EQ(at("/domains/later.home.example")["port"], 9000);
}

TEST_F(DomainRulesTest, ANameThatComesFreeDoesNotTakeDomainsToAnotherNode) {
    map(one_, "www.home.example", "web");
    ok(one_, "process.kill", {{"process", "web"}});
    // Another member takes the name: the domain goes on waiting.
    spin(two_, spec("web", {{"port", 8080}}));
    EXPECT_EQ(at("/domains/www.home.example")["node"], "");
    ok(two_, "process.kill", {{"process", "web"}});
    const auto error = refused(two_, "process.spin",
                               {{"spec", spec("web", {{"port", 8080}, {"domain", "www.home.example"}})}});
    EXPECT_EQ(error.code, ErrorCode::DomainTaken);
    EXPECT_THAT(error.message, HasSubstr("home1"));
    // Back on its own node it leads there again, also when an owner had mapped it.
    spin(one_, spec("web", {{"port", 8080}}));
    EXPECT_EQ(at("/domains/www.home.example")["node"], "home1");
}

TEST_F(DomainRulesTest, AnOwnersMappingComesBackWithTheMembersProcess) {
    map(root(), "www.home.example", "web");
    ok(one_, "process.kill", {{"process", "web"}});
    spin(one_, spec("web", {{"port", 8080}}));
    EXPECT_EQ(at("/domains/www.home.example")["node"], "home1");
}

TEST_F(DomainRulesTest, AnOwnersDomainThatWaitsIsNotTheFirstComers) {
    map(root(), "bank.home.example", "bank");
    spin(one_, spec("bank", {{"port", 0}}));
    EXPECT_EQ(at("/domains/bank.home.example")["node"], "") << "a member took the owner's visitors";
    const auto error = refused(two_, "process.spin",
                               {{"spec", spec("other", {{"port", 0}, {"domain", "bank.home.example"}})}});
    EXPECT_EQ(error.code, ErrorCode::DomainTaken);
    EXPECT_EQ(map_refused(one_, "bank.home.example", "bank").code, ErrorCode::NotPermitted);
    // The owner says so, now that it sees what has the name.
    EXPECT_EQ(map(root(), "bank.home.example", "bank")["node"], "home1");
}

TEST_F(DomainRulesTest, AnOwnersDomainThatWaitsTakesTheOwnersProcess) {
    map(root(), "bank.home.example", "bank");
    ok(root(), "process.spin", {{"spec", spec("bank", {{"port", 0}})}, {"node", "home2"}});
    EXPECT_EQ(at("/domains/bank.home.example")["node"], "home2");
}

TEST_F(DomainRulesTest, AMembersDomainThatWaitsPublishesNobodyElsesProcess) {
    map(one_, "door.home.example", "diary");
    map(one_, "window.home.example", "photos");
    spin(two_, spec("diary", {{"port", 0}}));
    EXPECT_EQ(at("/domains/door.home.example")["node"], "") << "another node's process was made public";
    ok(root(), "process.spin", {{"spec", spec("photos", {{"port", 0}})}});
    EXPECT_EQ(at("/domains/window.home.example")["node"], "") << "the owner's process was made public";
    ok(two_, "process.kill", {{"process", "diary"}});
    spin(one_, spec("diary", {{"port", 0}}));
    EXPECT_EQ(at("/domains/door.home.example")["node"], "home1");
}

TEST_F(DomainRulesTest, NamesOfTheOwner) {
    for (const auto* domain :
         {"home.example", "ns1.home.example", "_acme-challenge.web.home.example", "a._tcp.home.example",
          "*.home.example", "wpad.home.example", "mail.home.example", "hostmaster.home.example"}) {
        const auto error = map_refused(one_, domain, "web");
        EXPECT_EQ(error.code, ErrorCode::NotPermitted) << domain;
        EXPECT_FALSE(error.hint.empty());
        EXPECT_EQ(map(root(), domain, "web")["node"], "home1") << domain;
    }
    EXPECT_EQ(map(one_, "mail.web.home.example", "web")["node"], "home1");
    EXPECT_EQ(
        refused(one_, "process.spin", {{"spec", spec("x", {{"port", 0}, {"domain", "ns2.home.example"}})}})
            .code,
        ErrorCode::NotPermitted);
}

TEST_F(DomainRulesTest, AMemberHasNoNameBelowAnothers) {
    map(one_, "web.home.example", "web");
    spin(two_, spec("www", {{"port", 8080}}));
    for (const auto* domain : {"www.web.home.example", "a.b.web.home.example"}) {
        const auto error = map_refused(two_, domain, "www");
        EXPECT_EQ(error.code, ErrorCode::NotPermitted);
        EXPECT_THAT(error.message,
                    HasSubstr("'web.home.example', which is held by process 'web' on node 'home1'"));
    }
    EXPECT_EQ(
        refused(two_, "process.spin", {{"spec", spec("x", {{"port", 0}, {"domain", "x.web.home.example"}})}})
            .code,
        ErrorCode::NotPermitted);
    map(one_, "www.web.home.example", "web");
    map(two_, "myweb.home.example", "www");
    map(root(), "shared.web.home.example", "www");
    map(root(), "home.example", "web");
    map(two_, "other.home.example", "www");
}

// TLS of a domain outside the zone would never work: its challenge cannot be published.
TEST_F(DomainRulesTest, ADomainOutsideTheZoneBringsItsOwnCertificate) {
    EXPECT_EQ(map_refused(one_, "elsewhere.org", "web", {{"tls", "passthrough"}}).code,
              ErrorCode::NotPermitted);
    const auto error = map_refused(root(), "blog.elsewhere.org", "web");
    EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(error.message, HasSubstr("outside the fleet's zone 'home.example'"));
    EXPECT_THAT(error.hint, HasSubstr("--tls passthrough"));
    EXPECT_EQ(map(root(), "blog.elsewhere.org", "web", {{"tls", "passthrough"}})["tls"], "passthrough");
    const auto in_file =
        refused(root(), "process.spin", {{"spec", spec("x", {{"port", 0}, {"domain", "x.elsewhere.org"}})}});
    EXPECT_EQ(in_file.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(in_file.hint, HasSubstr("p2prc map-domain x.elsewhere.org x --tls passthrough"));
}

// One name beyond what DNS takes would keep the edge from its whole table.
TEST_F(DomainRulesTest, ADomainLeavesRoomForItsChallenge) {
    const std::string label(63, 'a');
    const auto below = [&](std::size_t size) {
        const auto tail = "." + label + "." + label + ".home.example";
        const auto rest = size - tail.size();
        return rest <= 63 ? std::string(rest, 'b') + tail
                          : std::string(rest - 64, 'b') + "." + std::string(63, 'c') + tail;
    };
    ASSERT_EQ(below(237).size(), 237U);
    map(one_, below(237), "web");
    ok(one_, "challenge.publish", {{"domain", below(237)}, {"value", value('a')}});
    const auto error = map_refused(one_, below(238), "web");
    EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
    EXPECT_THAT(error.message, HasSubstr("too long for a certificate"));
    EXPECT_EQ(
        refused(one_, "process.spin", {{"spec", spec("x", {{"port", 0}, {"domain", below(238)}})}}).code,
        ErrorCode::InvalidSpec);
    // With a certificate of its own it may have more, but nothing to prove here.
    map(one_, below(253), "web", {{"tls", "passthrough"}});
    EXPECT_EQ(refused(one_, "challenge.publish", {{"domain", below(253)}, {"value", value('a')}}).code,
              ErrorCode::InvalidSpec);
}

TEST_F(DomainRulesTest, ChallengesOfANodeAreLimited) {
    for (int name = 0; name < 16; ++name) {
        const auto domain = "w" + std::to_string(name) + ".home.example";
        map(one_, domain, "web");
        for (int i = 0; i < 16; ++i)
            ok(one_, "challenge.publish", {{"domain", domain}, {"value", value(static_cast<char>('a' + i))}});
    }
    map(one_, "more.home.example", "web");
    const auto error =
        refused(one_, "challenge.publish", {{"domain", "more.home.example"}, {"value", value('a')}});
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("256"));
    now_ += 3601;
    ok(one_, "challenge.publish", {{"domain", "more.home.example"}, {"value", value('a')}});
}

TEST_F(DomainRulesTest, AMemberMapsOnlyToItsOwnProcesses) {
    const auto error = map_refused(two_, "stolen.home.example", "web");
    EXPECT_EQ(error.code, ErrorCode::NotPermitted);
    EXPECT_THAT(error.message, HasSubstr("'home1'"));
}

TEST_F(DomainRulesTest, Unmapping) {
    map(one_, "www.home.example", "web");
    EXPECT_EQ(refused(two_, "domain.unmap", {{"domain", "www.home.example"}}).code, ErrorCode::NotPermitted);
    ok(one_, "domain.unmap", {{"domain", "WWW.home.example"}});
    EXPECT_EQ(at("/domains/www.home.example"), Json());
    EXPECT_EQ(refused(one_, "domain.unmap", {{"domain", "www.home.example"}}).code, ErrorCode::NotFound);
    map(two_, "later.home.example", "later");
    EXPECT_EQ(refused(one_, "domain.unmap", {{"domain", "later.home.example"}}).code,
              ErrorCode::NotPermitted);
    ok(two_, "domain.unmap", {{"domain", "later.home.example"}});
}

TEST_F(DomainRulesTest, WhoMappedADomainAndIsGoneCannotBeAsked) {
    const auto loft = add("loft", 'd', "owner");
    map(loft, "own.home.example", "own");
    EXPECT_EQ(refused(two_, "domain.unmap", {{"domain", "own.home.example"}}).hint,
              "run the command there, or on a node with the role owner");
    ok(loft, "node.leave");
    const auto refusal = refused(two_, "domain.unmap", {{"domain", "own.home.example"}});
    EXPECT_EQ(refusal.code, ErrorCode::NotPermitted);
    EXPECT_THAT(refusal.message, HasSubstr("is mapped to process 'own', and was mapped by"));
    EXPECT_THAT(refusal.message, HasSubstr("@loft, which is not in the fleet"));
    EXPECT_EQ(refusal.hint, "run the command on a node with the role owner");
    const auto taken = map_refused(two_, "own.home.example", "own");
    EXPECT_THAT(taken.message, HasSubstr("@loft, which is not in the fleet"));
    EXPECT_EQ(taken.hint, "run the command on a node with the role owner");
}

TEST_F(DomainRulesTest, MappingIdsAreNeverUsedAgain) {
    const int first = map(one_, "www.home.example", "web")["mapping_id"];
    ok(one_, "domain.unmap", {{"domain", "www.home.example"}});
    open();
    EXPECT_GT(map(one_, "www.home.example", "web")["mapping_id"], first);
}

TEST_F(DomainRulesTest, WhatIsNotBuiltIsRefused) {
    EXPECT_EQ(map_refused(one_, "www.home.example", "web", {{"tls", "none"}}).code, ErrorCode::NotSupported);
    EXPECT_EQ(map_refused(one_, "www.home.example", "web", {{"tls", "perhaps"}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(map_refused(one_, "not a domain", "web").code, ErrorCode::InvalidSpec);
}

TEST_F(DomainRulesTest, OnlyTheHolderPublishesChallenges) {
    map(one_, "www.home.example", "web");
    const Json challenge{{"domain", "www.home.example"}, {"value", value('a')}};
    const auto error = refused(two_, "challenge.publish", challenge);
    EXPECT_EQ(error.code, ErrorCode::NotPermitted);
    EXPECT_THAT(error.message, HasSubstr("'home1'"));
    EXPECT_EQ(refused(root(), "challenge.publish", challenge).code, ErrorCode::NotPermitted);
    ok(one_, "challenge.publish", challenge);
    ASSERT_EQ(keys_below("/challenges/www.home.example/").size(), 1u);
    EXPECT_EQ(at(keys_below("/challenges/")[0])["value"], value('a'));
    EXPECT_EQ(refused(two_, "challenge.remove", challenge).code, ErrorCode::NotPermitted);
    ok(one_, "challenge.remove", challenge);
    EXPECT_TRUE(keys_below("/challenges/").empty());
    EXPECT_EQ(refused(one_, "challenge.publish", {{"domain", "www.home.example"}, {"value", "a\" TXT"}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(one_, "challenge.publish", {{"domain", "no.home.example"}, {"value", value('a')}}).code,
              ErrorCode::NotFound);
}

TEST_F(DomainRulesTest, ChallengesExpireAndGoWithTheirDomain) {
    map(one_, "www.home.example", "web");
    ok(one_, "challenge.publish", {{"domain", "www.home.example"}, {"value", value('a')}});
    now_ += 3601;
    EXPECT_EQ(ok(root(), "registry.sweep")["removed"], 1 + 2) << "with the invitations of the two nodes";
    EXPECT_TRUE(keys_below("/challenges/").empty());
    for (int i = 0; i < 16; ++i)
        ok(one_, "challenge.publish",
           {{"domain", "www.home.example"}, {"value", value(static_cast<char>('a' + i))}});
    EXPECT_EQ(
        refused(one_, "challenge.publish", {{"domain", "www.home.example"}, {"value", value('z')}}).code,
        ErrorCode::Conflict);
    ok(one_, "domain.unmap", {{"domain", "www.home.example"}});
    EXPECT_TRUE(keys_below("/challenges/").empty());
}

TEST_F(DomainRulesTest, OnlyTheHolderHasItsNameSigned) {
    map(one_, "www.home.example", "web");
    EXPECT_EQ(ok(one_, "certificate.sign", {{"domain", "www.home.example"}, {"csr", "PEM"}})["chain"],
              "chain of www.home.example for PEM");
    EXPECT_EQ(refused(two_, "certificate.sign", {{"domain", "www.home.example"}, {"csr", "PEM"}}).code,
              ErrorCode::NotPermitted);
    ok(one_, "process.kill", {{"process", "web"}});
    EXPECT_EQ(refused(one_, "certificate.sign", {{"domain", "www.home.example"}, {"csr", "PEM"}}).code,
              ErrorCode::NotPermitted);
}

} // namespace
} // namespace p2prc::registry::test
