// What is offered to a registry that comes back older than it was.
#include "daemon/fleet/offers.h"
#include "tests/unit/daemon/fleet/node_state.h"

#include <optional>

namespace p2prc::daemon {
namespace {

class OffersTest : public test::NodeStateTest {
  protected:
    OffersTest() {
        offers.emplace(*replica, *own, [] { return std::string("home"); }, [this] { return moving; });
    }

    void report(std::uint32_t id, const std::string& name, ProcessState state) {
        NodeStateTest::report(status(id, name, state));
    }
    std::vector<std::string> on_offer() const { return keys_of("/offers/"); }

    bool moving = false;
    std::optional<Offers> offers;
};

TEST_F(OffersTest, WhatTheOlderCopyDoesNotKnowRunningOrStopped) {
    replica->reset("before", 9,
                   {{"/processes/old", record(1, "old"), 1},
                    {"/processes/runs", record(2, "runs"), 2},
                    {"/processes/stopped", record(3, "stopped"), 3},
                    {"/processes/killed", record(4, "killed"), 4},
                    {"/processes/other", record(5, "other", "attic"), 5}});
    report(1, "old", ProcessState::Running);
    report(2, "runs", ProcessState::Running);
    report(3, "stopped", ProcessState::Stopped);
    report(4, "killed", ProcessState::Stopped);
    own->set("/local/home/4", {{"id", 4}, {"action", "kill"}, {"sequence", 1}});
    replica->reset("restored", 3, {{"/processes/old", record(1, "old"), 1}});
    EXPECT_EQ(on_offer(), (std::vector<std::string>{"/offers/home/2", "/offers/home/3"}));

    // It stays on offer whatever it does, until it is taken in or killed.
    report(2, "runs", ProcessState::Stopped);
    EXPECT_EQ(on_offer().size(), 2u);
    ASSERT_TRUE(replica->apply("restored", 4, {{"/processes/stopped", record(3, "stopped"), 4}}));
    EXPECT_EQ(on_offer(), std::vector<std::string>{"/offers/home/2"});
    const Tombstone tombstone{2, "runs", "home", "admin@attic", "", {}};
    ASSERT_TRUE(replica->apply("restored", 5, {{"/tombstones/2", to_json(tombstone), 5}}));
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(OffersTest, WhatWasRefusedIsOfferedAgainWhenSomethingIsOutOfItsWay) {
    replica->reset("before", 9, {{"/processes/runs", record(2, "runs"), 2}});
    report(2, "runs", ProcessState::Running);
    replica->reset("restored", 3, {{"/processes/runs", record(7, "runs", "attic"), 3}});
    const auto first = *own->get("/offers/home/2");
    // Nothing is sent for as long as nothing is gone, nor before there is an answer.
    ASSERT_TRUE(replica->apply("restored", 4, {{"/processes/new", record(8, "new", "attic"), 4}}));
    ASSERT_TRUE(replica->apply("restored", 5, {{"/processes/new", std::nullopt, 5}}));
    EXPECT_EQ(*own->get("/offers/home/2"), first);
    auto answered = first;
    answered["refused"] = "process name 'runs' is taken in the fleet";
    ASSERT_TRUE(replica->apply("restored", 6, {{"/offers/home/2", answered, 6}}));
    EXPECT_EQ(*own->get("/offers/home/2"), first);
    ASSERT_TRUE(replica->apply("restored", 7, {{"/processes/runs", std::nullopt, 7}}));
    EXPECT_NE(*own->get("/offers/home/2"), first);
    EXPECT_FALSE(own->get("/offers/home/2")->contains("refused"));
}

class DomainOffersTest : public OffersTest {
  protected:
    static Json domain(const char* fqdn, const char* process, const char* node = "home",
                       const char* by = "admin@root") {
        DomainRecord mapping;
        mapping.domain = fqdn;
        mapping.process = process;
        mapping.node = node;
        mapping.mapping_id = 1;
        mapping.created_by = by;
        return to_json(mapping);
    }
    void begin() {
        replica->reset("before", 9,
                       {fleet(),
                        {"/processes/web", record(1, "web"), 1},
                        {"/domains/old.example", domain("old.example", "web"), 2},
                        {"/domains/new.example", domain("new.example", "web"), 8},
                        {"/domains/waits.example", domain("waits.example", "web", "", "bob@attic"), 8}});
        report(1, "web", ProcessState::Running);
    }
    void restore(const char* id = "f1") {
        replica->reset("restored", 3,
                       {fleet(id),
                        {"/processes/web", record(1, "web"), 1},
                        {"/domains/old.example", domain("old.example", "web"), 2}});
    }
    std::vector<std::string> domains_on_offer() const {
        std::vector<std::string> names;
        if (const auto offer = own->get("/offers/home/1"))
            for (const auto& mapping : offer->at("domains"))
                names.push_back(mapping["domain"]);
        return names;
    }
};

TEST_F(DomainOffersTest, ThoseOfAProcessThatTheOlderCopyKnows) {
    begin();
    restore();
    EXPECT_EQ(domains_on_offer(), std::vector<std::string>{"new.example"});
    ASSERT_TRUE(
        replica->apply("restored", 4, {{"/domains/new.example", domain("new.example", "web", ""), 4}}));
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(DomainOffersTest, WhatIsAnothersStaysOnOfferUntilItIsFree) {
    begin();
    restore();
    auto answer = *own->get("/offers/home/1");
    answer["refused_domains"] = {{"new.example", "domain 'new.example' is held by process 'shop'"}};
    ASSERT_TRUE(replica->apply("restored", 4,
                               {{"/domains/new.example", domain("new.example", "shop", "attic"), 4},
                                {"/offers/home/1", answer, 4}}));
    const auto first = *own->get("/offers/home/1");
    ASSERT_TRUE(replica->apply("restored", 5, {{"/domains/new.example", std::nullopt, 5}}));
    EXPECT_NE(*own->get("/offers/home/1"), first);
    ASSERT_TRUE(replica->apply("restored", 6, {{"/domains/new.example", domain("new.example", "web"), 6}}));
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(DomainOffersTest, WhatTheRegistryHasLetGoOfIsTakenBack) {
    begin();
    restore();
    auto answer = *own->get("/offers/home/1");
    answer["removed_domains"] = {"new.example"};
    ASSERT_TRUE(replica->apply("restored", 4, {{"/offers/home/1", answer, 4}}));
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(DomainOffersTest, AKillEndsTheOffer) {
    begin();
    restore();
    own->set("/local/home/1", {{"id", 1}, {"action", "kill"}, {"sequence", 1}});
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(DomainOffersTest, AnotherFleetHasNoneOfIt) {
    begin();
    restore("f2");
    EXPECT_TRUE(on_offer().empty());
}

// The records of a registry that was restored come with those that were killed.
TEST_F(OffersTest, AKilledProcessIsKilledAgainAndNotOffered) {
    replica->reset("before", 9, {fleet(), {"/processes/web", record(1, "web"), 1}});
    auto killed = status(1, "web", ProcessState::Stopped);
    killed.reason = StopReason{.kind = StopKind::Killed};
    NodeStateTest::report(killed);
    replica->reset("restored", 3, {fleet(), {"/processes/web", record(1, "web"), 1}});
    EXPECT_TRUE(on_offer().empty());
    ASSERT_TRUE(own->get("/local/home/1"));
    EXPECT_EQ((*own->get("/local/home/1"))["action"], "kill");
}

TEST_F(OffersTest, WhatRanWithoutARecordAndLeftNothingIsNotOnOffer) {
    replica->reset("before", 9, {{"/processes/runs", record(2, "runs"), 2}});
    report(2, "runs", ProcessState::Running);
    replica->reset("restored", 3, {});
    EXPECT_EQ(on_offer().size(), 1u);
    own->erase(keys::status("home", 2));
    EXPECT_TRUE(on_offer().empty());
}

TEST_F(OffersTest, ANodeThatMovesTakesItsProcessesAlongInstead) {
    replica->reset(
        "fleet", 9,
        {{"/processes/runs", record(2, "runs"), 2}, {"/processes/stopped", record(3, "stopped"), 3}});
    report(2, "runs", ProcessState::Running);
    report(3, "stopped", ProcessState::Stopped);
    moving = true;
    replica->reset("own", 1, {});
    EXPECT_EQ(on_offer(), std::vector<std::string>{"/offers/home/2"});
}

} // namespace
} // namespace p2prc::daemon
