// What nodes report, local actions that are folded, and when a tombstone goes.
#include "core/json_members.h"
#include "registry/draft.h"
#include "tests/unit/registry/fleet.h"

#include <fmt/format.h>

#include <limits>

namespace p2prc::registry::test {
namespace {

class OwnedRulesTest : public FleetTest {
  protected:
    OwnedRulesTest() {
        make_fleet();
        home_ = add("home1", 'b');
        spin(home_, spec("web", {{"port", 8080}}));
    }
    Json status(const char* state = "running") { return {{"id", 1}, {"state", state}, {"applied", 1}}; }
    Json local(const char* action, int sequence) {
        return {{"set",
                 {{"/local/home1/1",
                   {{"id", 1}, {"action", action}, {"sequence", sequence}, {"by", "carol@home1"}}}}}};
    }

    Actor home_;
};

TEST_F(OwnedRulesTest, PutReplacesWhatTheNodeOwns) {
    ok(home_, "status.put",
       {{"items",
         {{"/status/home1/1", status()},
          {"/info/home1", {{"nat", true}}},
          {"/certificates/home1/a.home.example", {{"state", "ready"}}}}}});
    EXPECT_EQ(at("/info/home1")["nat"], true);
    ok(home_, "status.put", {{"items", {{"/status/home1/1", status("failed")}}}});
    EXPECT_EQ(at("/status/home1/1")["state"], "failed");
    EXPECT_EQ(at("/info/home1"), Json());
    EXPECT_TRUE(keys_below("/certificates/").empty());
    const auto before = registry_->store().revision();
    ok(home_, "status.put", {{"items", {{"/status/home1/1", status("failed")}}}});
    EXPECT_EQ(registry_->store().revision(), before) << "the same again writes nothing";
}

// Ids that ran out would begin again, and one would stand for two processes.
TEST_F(OwnedRulesTest, AReportMovesTheNextIdOnlyALittle) {
    const auto next = [&](const std::string& name) {
        return spin(home_, spec(name))["id"].get<std::uint64_t>();
    };
    const auto first = next("one");
    ok(home_, "status.update", {{"set", {{"/status/home1/1073741824", status()}}}});
    EXPECT_EQ(next("two"), first + 1) << "nobody has spun a thousand million processes";
    ok(home_, "status.update", {{"set", {{"/status/home1/" + std::to_string(first + 1000), status()}}}});
    EXPECT_EQ(next("three"), first + 1001)
        << "it was spun after the copy that the registry was restored from";
}

TEST_F(OwnedRulesTest, ReportsMoveTheNextIdByABoundedSumHoweverMany) {
    const auto next = [&](const std::string& name) {
        return spin(root(), spec(name))["id"].get<std::uint64_t>();
    };
    const auto first = next("first");
    auto claimed = first;
    std::uint64_t last = first;
    for (int round = 1; round <= 20; ++round) {
        claimed += most_claimed_ids;
        ok(home_, "status.update", {{"set", {{fmt::format("/status/home1/{}", claimed), status()}}}});
        ok(home_, "status.update", {{"set", {{fmt::format("/status/home1/{}", last + 1000), status()}}}});
        last = next(fmt::format("p{}", round));
        if (round == 10) open();
    }
    EXPECT_LE(last, first + most_claimed_ids + 20);
    EXPECT_GE(last, first + most_claimed_ids);
}

TEST_F(OwnedRulesTest, RefusedOffersMoveTheNextIdNotAtAll) {
    auto record = at("/processes/web");
    record["id"] = 0;
    record["spec"]["name"] = "younger";
    record["port"] = record["spec"]["port"] = 8081;
    record["changed_by"] = record["created_at"] = std::string(300, 'x');
    const auto next = spin(root(), spec("one"))["id"].get<int>() + 1;
    for (int i = 0; i < 5; ++i)
        ok(home_, "status.update", {{"set", {{"/offers/home1/0", {{"process", record}}}}}});
    EXPECT_THAT(at("/offers/home1/0")["refused"].get<std::string>(), HasSubstr("too long"));
    EXPECT_EQ(spin(root(), spec("two"))["id"], next);
}

TEST_F(OwnedRulesTest, NumbersThatHaveRunOutDoNotBeginAgain) {
    constexpr auto last = std::numeric_limits<std::uint32_t>::max();
    plant("counters/process", last - 1, private_table);
    EXPECT_EQ(spin(root(), spec("last"))["id"], last);
    const auto error = refused(root(), "process.spin", {{"spec", spec("more")}});
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("no number left"));
    plant("counters/mapping", last, private_table);
    EXPECT_EQ(refused(root(), "domain.map", {{"domain", "x.home.example"}, {"process", "later"}}).code,
              ErrorCode::Conflict);
}

TEST(IdsOfADraft, NoneThatIsInUseIsGivenOut) {
    const Mirror mirror{};
    Draft draft(mirror);
    ProcessRecord process;
    process.id = 2;
    process.name = "web";
    draft.put(process);
    draft.put(keys::tombstone(3), to_json(Tombstone{3, "old", "home1", "", ""}));
    draft.avoid_process_id(4);
    EXPECT_EQ(*draft.next_process_id(), 1U);
    EXPECT_EQ(*draft.next_process_id(), 5U);
    EXPECT_TRUE(draft.claim_process_id(5 + most_claimed_ids));
    EXPECT_FALSE(draft.claim_process_id(6 + most_claimed_ids));
    // A store that was restored from a copy has to learn anew what was given out since.
    draft.skip_ids(10);
    EXPECT_TRUE(draft.claim_process_id(15 + 2 * most_claimed_ids));
    draft.skip_ids(std::numeric_limits<std::uint32_t>::max());
    EXPECT_FALSE(draft.next_process_id());
}

TEST_F(OwnedRulesTest, APutTakesAwayWhatTheRegistryHasUnderAnyKey) {
    for (const auto* key : {"/offers/home1/x", "/status/home1/007", "/certificates/home1/-"})
        plant(key, {{"id", 1}});
    ok(home_, "status.put", {{"items", {{"/status/home1/1", status()}}}});
    EXPECT_NE(at("/status/home1/1"), Json());
    for (const auto* prefix : {"/offers/", "/certificates/"})
        EXPECT_TRUE(keys_below(prefix).empty()) << prefix;
    EXPECT_EQ(keys_below("/status/"), std::vector<std::string>{"/status/home1/1"});
}

TEST_F(OwnedRulesTest, APutInPartsTakesNothingAwayInBetween) {
    ok(home_, "status.put", {{"items", {{"/status/home1/1", status()}, {"/info/home1", {{"nat", true}}}}}});
    ok(home_, "status.update", {{"set", {{"/info/home1", {{"nat", false}}}}}});
    EXPECT_NE(at("/status/home1/1"), Json());
    ok(home_, "status.put", {{"items", {{"/status/home1/2", status()}}}, {"keep", {"/info/home1"}}});
    EXPECT_EQ(at("/info/home1")["nat"], false);
    EXPECT_EQ(at("/status/home1/1"), Json());
}

TEST_F(OwnedRulesTest, AReportAheadOfTheRecordIsBelieved) {
    auto running = status();
    running["applied"] = 4;
    ok(home_, "status.update", {{"set", {{"/status/home1/1", running}}}});
    EXPECT_EQ(at("/processes/web")["change"], 4);
    auto stopped = status("stopped");
    stopped["applied"] = 5;
    stopped["reason"] = {{"kind", "stopped"}};
    ok(home_, "status.update", {{"set", {{"/status/home1/1", stopped}}}});
    EXPECT_EQ(at("/processes/web")["change"], 5);
    EXPECT_EQ(at("/processes/web")["desired"], "stopped");
    ok(root(), "status.update", {{"set", {{"/status/root/1", {{"id", 1}, {"applied", 9}}}}}});
    EXPECT_EQ(at("/processes/web")["change"], 5) << "only of what runs there";
}

// A record with such a number is refused by every node.
TEST_F(OwnedRulesTest, ALocalActionThatNobodyCountedIsNotTakenIn) {
    const Json action{{"id", 1}, {"action", "stop"}, {"sequence", std::uint64_t{1} << 60}, {"by", "alice"}};
    ok(home_, "status.update", {{"set", {{"/local/home1/1", action}}}});
    EXPECT_EQ(at("/processes/web")["change"], 1);
    EXPECT_EQ(at("/processes/web")["desired"], "running");
}

TEST_F(OwnedRulesTest, WhatRunsAndIsUnknownIsTakenInUnderItsId) {
    auto record = at("/processes/web");
    record["id"] = 40;
    record["name"] = "younger";
    record["spec"]["name"] = "younger";
    record["port"] = 8081;
    record["spec"]["port"] = 8081;
    record["created_by"] = "alice@root";
    const Json domain{{"domain", "y.home.example"}, {"process", "younger"}, {"created_by", "alice@root"}};
    const Json offer{{"process", record}, {"domains", {domain}}};
    ok(home_, "status.update", {{"set", {{"/offers/home1/40", offer}}}});
    EXPECT_EQ(at("/processes/younger")["id"], 40);
    EXPECT_EQ(at("/processes/younger")["node"], "home1");
    EXPECT_EQ(at("/processes/younger")["created_by"], "alice@root") << "it stays as confined as it was";
    EXPECT_EQ(at("/domains/y.home.example")["process_id"], 40);
    EXPECT_EQ(at("/offers/home1/40"), Json());
    EXPECT_EQ(spin(root(), spec("next"))["id"], 41);
    ok(home_, "status.update", {{"set", {{"/offers/home1/40", offer}}}});
    EXPECT_EQ(at("/offers/home1/40"), Json()) << "once";
    EXPECT_EQ(refused(home_, "status.update", {{"set", {{"/offers/root/40", offer}}}}).code,
              ErrorCode::NotPermitted);
}

// Whose user asked for it is the word of the node that offers it.
TEST_F(OwnedRulesTest, WhatIsOfferedFillsTheShareOfTheNodeThatOffersIt) {
    const auto other = add("home2", 'e');
    auto record = at("/processes/web");
    record["node"] = "home2";
    record["port"] = nullptr;
    record["spec"].erase("port");
    record["desired"] = "stopped";
    int id = 100;
    std::string refusal;
    const auto offer = [&](int count, const std::string& maker, std::size_t size) {
        auto set = Json::object();
        for (int i = 0; i < count; ++i) {
            record["id"] = ++id;
            record["name"] = record["spec"]["name"] = fmt::format("p{}", id);
            record["spec"]["run"]["command"] = {"/bin/true", std::string(size, 'x')};
            record["created_by"] = maker;
            set[keys::offer("home2", static_cast<std::uint32_t>(id))] = {{"process", record}};
        }
        ok(other, "status.update", {{"set", set}});
        const auto left = at(keys::offer("home2", static_cast<std::uint32_t>(id)));
        return left.is_object() ? left.value("refused", std::string()) : std::string();
    };
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(offer(100, "root@home1", 1), "");
    EXPECT_THAT(offer(1, "root@home1", 1), HasSubstr("'home2' has 1000 processes"));
    EXPECT_EQ(refused(other, "process.spin", {{"spec", spec("more")}}).code, ErrorCode::Conflict);
    spin(home_, spec("theirs"));
    // The whole of it goes with the node.
    ok(root(), "node.remove", {{"name", "home2"}});
    ASSERT_EQ(add("home2", 'e').node, "home2");
    for (int i = 0; i < 69; ++i)
        EXPECT_EQ(offer(1, i % 2 == 0 ? "x@nobody" : "root@home1", 60'000), "") << i;
    EXPECT_THAT(offer(1, "x@nobody", 60'000), HasSubstr("may have 4194304"));
    EXPECT_THAT(offer(1, "x@no/body", 60'000), HasSubstr("may have 4194304"));
    // What nobody here has made is nobody's, whoever takes the name.
    const auto fresh = fmt::format("p{}", id - 3);
    ASSERT_EQ(at("/processes/" + fresh)["created_by"], "root@home1");
    const auto ghost = fmt::format("p{}", id - 2);
    ASSERT_EQ(at("/processes/" + ghost)["created_by"], "x@nobody");
    const auto nobody = add("nobody", 'f');
    EXPECT_EQ(refused(nobody, "process.kill", {{"process", ghost}}).code, ErrorCode::NotPermitted);
    ok(other, "process.kill", {{"process", ghost}});
}

TEST_F(OwnedRulesTest, WhatIsOfferedHasTheMembersThatAreKnown) {
    const auto other = add("home2", 'e');
    auto record = at("/processes/web");
    record["id"] = 40;
    record["name"] = record["spec"]["name"] = "younger";
    record["port"] = record["spec"]["port"] = 8081;
    record["junk"] = std::string(20'000, 'x');
    record["local_sequence"] = 7;
    record["maker_key"] = fingerprint('a');
    Json waiting{{"domain", "z.home.example"}, {"process", "younger"}, {"requested_port", 9}};
    waiting["junk"] = std::string(20'000, 'x');
    waiting["last_node"] = "home2";
    waiting["last_key"] = fingerprint('e');
    ok(home_, "status.update",
       {{"set", {{"/offers/home1/40", {{"process", record}, {"domains", {waiting}}}}}}});
    const auto process = at("/processes/younger");
    EXPECT_EQ(process["local_sequence"], 7);
    EXPECT_FALSE(process.contains("junk"));
    EXPECT_FALSE(process.contains("maker_key"));
    const auto domain = at("/domains/z.home.example");
    EXPECT_EQ(domain["requested_port"], 9) << "it waits for a process with that port";
    EXPECT_EQ(domain["process_id"], 0);
    for (const auto* member : {"junk", "last_node", "last_key"})
        EXPECT_FALSE(domain.contains(member)) << member;
}

// A registry that was put back: what was mapped since the copy is offered, and nobody else's word counts.
class RestoredTest : public OwnedRulesTest {
  protected:
    // The file as it is now comes back later.
    void copy() {
        registry_.reset();
        for (const char* suffix : {"", ".closed"})
            fs::copy_file(file() + suffix, file() + ".copy" + suffix);
        open();
    }
    void restore() {
        registry_.reset();
        for (const char* suffix : {"", "-wal", "-shm", ".closed"})
            fs::remove(file() + suffix);
        for (const char* suffix : {"", ".closed"})
            fs::copy_file(file() + ".copy" + suffix, file() + suffix);
        open();
    }
    template <class... Domain>
    Json offer(const Domain&... domains) const {
        return {{"process", web_}, {"domains", std::vector<Json>{domains...}}};
    }
    Json map(const char* domain, const char* process = "web") {
        return ok(root(), "domain.map", {{"domain", domain}, {"process", process}});
    }
    void put(const Json& offered) { ok(home_, "status.update", {{"set", {{key_, offered}}}}); }

    const Json web_ = at("/processes/web");
    const std::string key_ = "/offers/home1/1";
};

TEST_F(RestoredTest, ADomainThatWasMappedSinceTheCopyComesBack) {
    copy();
    const auto mapped = map("new.home.example");
    restore();
    EXPECT_EQ(at("/domains/new.home.example"), Json());
    put(offer(mapped));
    const auto back = at("/domains/new.home.example");
    EXPECT_EQ(back["process_id"], 1);
    EXPECT_EQ(back["node"], "home1");
    EXPECT_EQ(back["port"], web_["port"]);
    EXPECT_GT(back["mapping_id"], mapped["mapping_id"]);
    EXPECT_EQ(at(key_), Json());
    EXPECT_EQ(at("/processes/web"), web_);
    // Once.
    ok(root(), "domain.unmap", {{"domain", "new.home.example"}});
    put(offer(back));
    EXPECT_EQ(at("/domains/new.home.example"), Json()) << "it was unmapped here";
    EXPECT_EQ(at(key_)["removed_domains"], Json::array({"new.home.example"}));
}

TEST_F(RestoredTest, ADomainThatWasUnmappedStaysSo) {
    const auto mapped = map("old.home.example");
    copy();
    ok(root(), "domain.unmap", {{"domain", "old.home.example"}});
    restore();
    ok(root(), "domain.unmap", {{"domain", "old.home.example"}});
    put(offer(mapped));
    EXPECT_EQ(at("/domains/old.home.example"), Json()) << "the copy knew it";
    EXPECT_EQ(at(key_)["removed_domains"], Json::array({"old.home.example"}));
    // Nor does a home that was away undo anything after a crash.
    registry_.reset();
    fs::remove(file() + ".closed");
    open();
    put(offer(mapped));
    EXPECT_EQ(at("/domains/old.home.example"), Json());
    ok(home_, "status.update", {{"delete", {key_}}});
    EXPECT_EQ(at(key_), Json());
}

TEST_F(RestoredTest, ADomainThatIsAnothersByNowStaysTheOthersAndIsNamed) {
    copy();
    const auto mapped = map("new.home.example"), further = map("more.home.example");
    restore();
    spin(root(), spec("shop", {{"port", 8090}}));
    map("new.home.example", "shop");
    put(offer(mapped, further));
    EXPECT_EQ(at("/domains/new.home.example")["process"], "shop");
    EXPECT_EQ(at("/domains/more.home.example")["process"], "web");
    EXPECT_THAT(at(key_)["refused_domains"]["new.home.example"].get<std::string>(),
                HasSubstr("is held by process 'shop' on node 'root'"));
    EXPECT_FALSE(at(key_).contains("refused"));
    // It is no process without a record: its id is that of the record.
    EXPECT_EQ(ok(root(), "process.stop", {{"process", "1"}})["name"], "web");
    ok(root(), "domain.unmap", {{"domain", "new.home.example"}});
    ok(home_, "status.update", {{"set", {{"/info/home1", {{"nat", true}}}}}});
    EXPECT_EQ(at("/domains/new.home.example")["process_id"], 1);
    EXPECT_EQ(at(key_), Json());
}

TEST_F(RestoredTest, AnOfferOfDomainsIsHeldToTheRules) {
    copy();
    restore();
    const Json mapping{{"process", "web"}, {"mapping_id", 500}, {"created_by", "alice@home1"}};
    auto mail = mapping, far = mapping, others = mapping;
    mail["domain"] = "mail.home.example";
    far["domain"] = "www.example.org";
    others["domain"] = "shop.home.example";
    others["process"] = "shop";
    spin(root(), spec("shop", {{"port", 8090}}));
    put(offer(mail, far, others));
    EXPECT_EQ(keys_below("/domains/"), std::vector<std::string>());
    EXPECT_EQ(at(key_)["refused_domains"].size(), 2u);
    // Under the name of a process of its own, with the specification of another's.
    auto lie = offer(others);
    lie["process"]["spec"]["name"] = "shop";
    put(lie);
    EXPECT_EQ(keys_below("/domains/"), std::vector<std::string>());
}

// What was refused of it, and is kept, must not bring it back.
TEST_F(RestoredTest, AKillTakesWhatIsOnOfferAlong) {
    copy();
    const auto mapped = map("new.home.example");
    restore();
    spin(root(), spec("shop", {{"port", 8090}}));
    map("new.home.example", "shop");
    put(offer(mapped));
    ASSERT_TRUE(at(key_).contains("refused_domains"));
    ok(root(), "process.kill", {{"process", "web"}});
    EXPECT_EQ(at(key_), Json());
    auto killed = status("stopped");
    killed["reason"] = {{"kind", "killed"}};
    ok(home_, "status.update", {{"set", {{"/status/home1/1", killed}}}});
    EXPECT_EQ(at("/processes/web"), Json());
    EXPECT_EQ(at("/tombstones/1"), Json());
}

TEST_F(RestoredTest, AKillFromTheNodeItselfCountsMoreThanItsOffer) {
    copy();
    const auto mapped = map("new.home.example");
    restore();
    auto killed = status("stopped");
    killed["reason"] = {{"kind", "killed"}};
    const Json action{{"id", 1}, {"action", "kill"}, {"sequence", 1}, {"by", "alice@home1"}};
    ok(home_, "status.put",
       {{"items", {{"/local/home1/1", action}, {key_, offer(mapped)}, {"/status/home1/1", killed}}}});
    EXPECT_EQ(at("/processes/web"), Json());
    EXPECT_EQ(at("/domains/new.home.example"), Json());
    EXPECT_EQ(at(key_), Json());
}

TEST_F(OwnedRulesTest, AnOfferWhoseNameIsTakenStaysAndSaysWhy) {
    spin(root(), spec("younger"));
    auto record = at("/processes/web");
    record["id"] = 40;
    record["spec"]["name"] = "younger";
    record["spec"]["port"] = 8081;
    record["port"] = 8081;
    ok(home_, "status.put", {{"items", {{"/offers/home1/40", {{"process", record}}}}}});
    EXPECT_THAT(at("/offers/home1/40")["refused"].get<std::string>(),
                testing::HasSubstr("'younger' is taken in the fleet, on node 'root'"));
    EXPECT_EQ(at("/processes/younger")["node"], "root");
    ok(root(), "process.kill", {{"process", "younger"}});
    ok(home_, "status.update", {{"set", {{"/info/home1", {{"nat", true}}}}}});
    EXPECT_EQ(at("/processes/younger")["node"], "home1");
    EXPECT_EQ(at("/offers/home1/40"), Json());
}

TEST_F(OwnedRulesTest, AnOfferThatCannotBeTakenInIsKilledByItsId) {
    spin(root(), spec("younger"));
    auto record = at("/processes/web");
    record["id"] = 40;
    record["name"] = record["spec"]["name"] = "younger";
    record["port"] = record["spec"]["port"] = 8081;
    const Json offer{{"process", record}};
    ok(home_, "status.update", {{"set", {{"/offers/home1/40", offer}}}});
    const auto other = add("home2", 'e');
    EXPECT_EQ(refused(other, "process.kill", {{"process", "40"}}).code, ErrorCode::NotPermitted);
    const auto killed = ok(root(), "process.kill", {{"process", "40"}});
    EXPECT_EQ(killed["id"], 40);
    EXPECT_EQ(killed["node"], "home1");
    EXPECT_EQ(at("/tombstones/40")["node"], "home1");
    EXPECT_EQ(at("/offers/home1/40"), Json());
    EXPECT_EQ(at("/processes/younger")["node"], "root") << "the other one of that name lives";
    // The node offers it once more before it hears of that.
    ok(home_, "status.update", {{"set", {{"/offers/home1/40", offer}}}});
    EXPECT_EQ(at("/offers/home1/40"), Json());
    EXPECT_EQ(refused(root(), "process.kill", {{"process", "40"}}).code, ErrorCode::NotFound);
}

// A pending kill is not given up for what another node calls by the same id.
TEST_F(OwnedRulesTest, AMemberCannotTakeAwayAnothersTombstone) {
    const auto victim = add("home2", 'e');
    const int id = spin(home_, spec("mal", {{"port", 9000}}), "home2")["id"];
    ok(root(), "process.kill", {{"process", "mal"}});
    const auto tombstone = at(fmt::format("/tombstones/{}", id));
    ASSERT_EQ(tombstone["node"], "home2");
    auto record = at("/processes/web");
    record["id"] = id;
    const auto key = fmt::format("/offers/home1/{}", id);
    // Under a name that is taken, so that it stays on offer, under that of what was killed, and another.
    for (const auto* name : {"web", "mal", "fresh"}) {
        spin(root(), spec("web2"));
        record["name"] = record["spec"]["name"] = name;
        record["port"] = record["spec"]["port"] = 8090;
        ok(home_, "status.update", {{"set", {{key, {{"process", record}, {"domains", Json::array()}}}}}});
        EXPECT_THAT(at(key)["refused"].get<std::string>(), HasSubstr("killed on node 'home2'")) << name;
        registry_->execute(home_, "process.kill", {{"process", std::to_string(id)}});
        EXPECT_EQ(at(fmt::format("/tombstones/{}", id)), tombstone) << name;
    }
    EXPECT_EQ(at("/processes/fresh"), Json());
    // Once it has ended there, the id is free for what is offered.
    ok(home_, "status.update", {{"set", {{key, {{"process", record}}}}}});
    ok(victim, "status.update",
       {{"set",
         {{fmt::format("/status/home2/{}", id),
           {{"id", id}, {"state", "stopped"}, {"applied", 1}, {"reason", {{"kind", "killed"}}}}}}}});
    EXPECT_EQ(at(fmt::format("/tombstones/{}", id)), Json());
    ok(home_, "status.update", {{"set", {{"/info/home1", {{"nat", true}}}}}});
    EXPECT_EQ(at("/processes/fresh")["node"], "home1");
}

TEST_F(OwnedRulesTest, TwoOffersUnderOneIdAreKilledWhereTheyAre) {
    const auto other = add("home2", 'e');
    spin(root(), spec("taken"));
    auto record = at("/processes/web");
    record["id"] = 60;
    record["name"] = record["spec"]["name"] = "taken";
    record["port"] = record["spec"]["port"] = 8090;
    ok(home_, "status.update", {{"set", {{"/offers/home1/60", {{"process", record}}}}}});
    record["node"] = "home2";
    ok(other, "status.update", {{"set", {{"/offers/home2/60", {{"process", record}}}}}});
    const auto error = refused(root(), "process.kill", {{"process", "60"}});
    EXPECT_EQ(error.code, ErrorCode::Conflict);
    EXPECT_THAT(error.message, HasSubstr("'home1' and 'home2'"));
    EXPECT_EQ(ok(other, "process.kill", {{"process", "60"}})["node"], "home2");
    EXPECT_NE(at("/offers/home1/60"), Json());
}

TEST_F(OwnedRulesTest, UpdateIsIncremental) {
    ok(home_, "status.update", {{"set", {{"/status/home1/1", status()}, {"/info/home1", {{"nat", true}}}}}});
    ok(home_, "status.update", {{"delete", {"/status/home1/1", "/status/home1/7"}}});
    EXPECT_EQ(at("/status/home1/1"), Json());
    EXPECT_EQ(at("/info/home1")["nat"], true);
}

TEST_F(OwnedRulesTest, ANodeCannotFillTheStore) {
    auto items = Json::object();
    for (int id = 1; id <= 8192; ++id)
        items[fmt::format("/status/home1/{}", id)] = status();
    EXPECT_FALSE(ok(home_, "status.put", {{"items", items}}).contains("without_room"));
    EXPECT_EQ(ok(home_, "status.update", {{"set", {{"/status/home1/9000", status()}}}})["without_room"],
              Json({"/status/home1/9000"}));
    EXPECT_EQ(at("/status/home1/9000"), Json());
    ok(home_, "status.update", {{"delete", {"/status/home1/7"}}});
    EXPECT_FALSE(
        ok(home_, "status.update", {{"set", {{"/status/home1/9000", status()}}}}).contains("without_room"));
    EXPECT_NE(at("/status/home1/9000"), Json());
}

// Beyond 64 MiB of the whole no node that joins or was away could be brought up to date.
TEST_F(OwnedRulesTest, ANodeHasTwoMebibytesForWhatItSays) {
    const Json large{{"p", std::string(60000, 'x')}};
    std::size_t refused_keys = 0;
    for (int round = 0; round < 10; ++round) {
        auto set = Json::object();
        for (int i = 0; i < 14; ++i)
            set[fmt::format("/status/home1/{}", 1 + round * 14 + i)] = large;
        refused_keys +=
            ok(home_, "status.update", {{"set", set}}).value("without_room", Json::array()).size();
    }
    EXPECT_EQ(refused_keys, 140U - 34U);
    std::size_t stored = 0;
    for (const auto& key : keys_below("/status/home1/"))
        stored += at(key).dump().size();
    EXPECT_LE(stored, 2U << 20);
    // Others have room, and it has, too, once it says less.
    const auto other = add("home2", 'e');
    EXPECT_FALSE(ok(other, "status.update", {{"set", {{"/info/home2", large}}}}).contains("without_room"));
    EXPECT_FALSE(ok(home_, "status.put", {{"items", {{"/info/home1", large}}}}).contains("without_room"));
    EXPECT_EQ(at("/info/home1"), large);
    ok(root(), "node.remove", {{"name", "home1"}});
    EXPECT_TRUE(keys_below("/status/home1/").empty());
}

// The last lines of logs give way before the status itself does.
TEST_F(OwnedRulesTest, AStatusWithoutRoomLosesItsLog) {
    auto failed = status("failed");
    failed["reason"] = {{"kind", "exit-code"}, {"code", 3}, {"log", {std::string(70000, 'x')}}};
    ok(home_, "status.update", {{"set", {{"/status/home1/1", failed}}}});
    EXPECT_EQ(at("/status/home1/1")["state"], "failed");
    EXPECT_EQ(at("/status/home1/1")["reason"], Json({{"kind", "exit-code"}, {"code", 3}}));
    ok(home_, "status.update", {{"set", {{"/info/home1", {{"nat", true}}}}}});
    EXPECT_EQ(ok(home_, "status.update",
                 {{"set", {{"/info/home1", {{"x", std::string(70000, 'x')}}}}}})["without_room"],
              Json({"/info/home1"}));
    EXPECT_EQ(at("/info/home1"), Json()) << "rather nothing than what is no longer so";
}

// sd-bus refuses such a text, and with it the whole reply that it is in, on every node.
TEST_F(OwnedRulesTest, TextsAreMadeFitForThoseWhoReadThem) {
    auto failed = status("failed");
    failed["reason"] = {{"kind", "exit-code"},
                        {"log", {"GET /\xEF\xBF\xBF", std::string("a\0b", 3), "\xEF\xB7\x90"}}};
    ok(home_, "status.update",
       {{"set",
         {{"/status/home1/1", failed},
          {"/info/home1", {{"ipv4", "\xEF\xB7\x90"}, {"a\xEF\xBF\xBE", {{"b", {"\xEF\xBF\xBF"}}}}}},
          {"/serving/home1/a.home.example", {{"state", "ok"}, {"reason", "caf\xC3\xA9 \xEF\xBF\xBF"}}}}}});
    EXPECT_EQ(at("/status/home1/1")["reason"]["log"], Json({"GET /\xEF\xBF\xBD",
                                                            "a\xEF\xBF\xBD"
                                                            "b",
                                                            "\xEF\xBF\xBD"}));
    EXPECT_EQ(at("/info/home1"),
              Json({{"ipv4", "\xEF\xBF\xBD"}, {"a\xEF\xBF\xBD", {{"b", {"\xEF\xBF\xBD"}}}}}));
    EXPECT_EQ(at("/serving/home1/a.home.example")["reason"], "caf\xC3\xA9 \xEF\xBF\xBD");
}

TEST_F(OwnedRulesTest, KeysHaveOneForm) {
    for (const auto* key :
         {"/status/home1/007", "/status/home1/a/7", "/status/home1/", "/status/home1/-1",
          "/status/home1/4294967296", "/local/home1/x/1", "/offers/home1/", "/offers/home1/1x",
          "/certificates/home1/", "/certificates/home1/A.home.example",
          "/certificates/home1/a\n.home.example", "/serving/home1/a", "/serving/home1/a/b.c"})
        EXPECT_EQ(refused(home_, "status.update", {{"set", {{key, Json::object()}}}}).code,
                  ErrorCode::InvalidSpec)
            << key;
}

TEST_F(OwnedRulesTest, ANodeWritesUnderItsOwnKeysOnly) {
    for (const auto* key :
         {"/status/root/1", "/status/home10/1", "/info/root", "/info/home1/x", "/processes/web",
          "/live/home1", "/local/root/1", "/serving/root/a.b", "/nodes/home1", "/fleet"}) {
        EXPECT_EQ(refused(home_, "status.update", {{"set", {{key, {{"id", 1}}}}}}).code,
                  ErrorCode::NotPermitted)
            << key;
        EXPECT_EQ(refused(home_, "status.put", {{"items", {{key, {{"id", 1}}}}}}).code,
                  ErrorCode::NotPermitted)
            << key;
        EXPECT_EQ(refused(home_, "status.update", {{"delete", {key}}}).code, ErrorCode::NotPermitted) << key;
    }
    EXPECT_EQ(refused(home_, "status.update", {{"set", {{"/status/home1/x", status()}}}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(home_, "status.update", {{"set", {{"/info/home1", "text"}}}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(home_, "status.put").code, ErrorCode::InvalidSpec);
}

TEST_F(OwnedRulesTest, ALocalStopIsFoldedOnce) {
    EXPECT_EQ(ok(home_, "status.update", local("stop", 1))["folded"], Json({1}));
    const auto process = at("/processes/web");
    EXPECT_EQ(process["desired"], "stopped");
    EXPECT_EQ(process["change"], 2);
    EXPECT_EQ(process["changed_by"], "carol@home1");
    EXPECT_EQ(process["local_sequence"], 1);
    EXPECT_TRUE(keys_below("/local/").empty());
    // Uploaded again after a change that came from elsewhere, it does nothing.
    ok(root(), "process.start", {{"process", "web"}});
    EXPECT_EQ(ok(home_, "status.update", local("stop", 1))["folded"], Json::array());
    EXPECT_EQ(at("/processes/web")["desired"], "running");
    EXPECT_EQ(ok(home_, "status.update", local("restart", 2))["folded"], Json({1}));
    EXPECT_EQ(at("/processes/web")["change"], 4);
}

TEST_F(OwnedRulesTest, ALocalKillIsFoldedInAWholeUpload) {
    ok(root(), "domain.map", {{"domain", "www.home.example"}, {"process", "web"}});
    ok(home_, "status.put", {{"items", local("kill", 1)["set"]}});
    EXPECT_EQ(at("/processes/web"), Json());
    EXPECT_EQ(at("/tombstones/1")["by"], "carol@home1");
    EXPECT_EQ(at("/domains/www.home.example")["node"], "");
    EXPECT_EQ(ok(home_, "status.update", local("kill", 1))["folded"], Json::array()) << "it is gone";
}

TEST_F(OwnedRulesTest, ANodeFoldsOnlyWhatRunsOnIt) {
    spin(root(), spec("other"));
    Json upload{{"set", {{"/local/home1/2", {{"id", 2}, {"action", "kill"}, {"sequence", 1}}}}}};
    EXPECT_EQ(ok(home_, "status.update", upload)["folded"], Json::array());
    EXPECT_NE(at("/processes/other"), Json());
}

TEST_F(OwnedRulesTest, SeveralLocalActionsCountAsTheNodeCountsThem) {
    EXPECT_EQ(ok(home_, "status.update", local("restart", 3))["folded"], Json({1}));
    EXPECT_EQ(at("/processes/web")["change"], 1 + 3);
    EXPECT_EQ(ok(home_, "status.update", local("stop", 5))["folded"], Json({1}));
    EXPECT_EQ(at("/processes/web")["change"], 1 + 5);
    EXPECT_EQ(ok(home_, "status.update", local("levitate", 6))["folded"], Json::array());
}

TEST_F(OwnedRulesTest, ATombstoneStaysUntilItsNodeReportsTheEnd) {
    ok(home_, "status.update", {{"set", {{"/status/home1/1", status()}}}});
    ok(root(), "process.kill", {{"process", "web"}});
    ok(home_, "status.put", {{"items", {{"/status/home1/1", status("stopping")}}}});
    EXPECT_NE(at("/tombstones/1"), Json()) << "it still runs";
    ok(home_, "status.put", {{"items", Json::object()}});
    EXPECT_NE(at("/tombstones/1"), Json()) << "silence is no report";
    auto stopped = status("stopped");
    stopped["reason"] = {{"kind", "stopped"}};
    ok(home_, "status.update", {{"set", {{"/status/home1/1", stopped}}}});
    EXPECT_NE(at("/tombstones/1"), Json()) << "that was an earlier end";
    stopped["reason"] = {{"kind", "killed"}};
    ok(home_, "status.update", {{"set", {{"/status/home1/1", stopped}}}});
    EXPECT_EQ(at("/tombstones/1"), Json());
}

TEST_F(OwnedRulesTest, TombstonesOfOthersAreNotItsToTakeAway) {
    ok(root(), "process.kill", {{"process", "web"}});
    ok(root(), "status.put",
       {{"items",
         {{"/status/root/1", {{"id", 1}, {"state", "stopped"}, {"reason", {{"kind", "killed"}}}}}}}});
    EXPECT_NE(at("/tombstones/1"), Json());
}

} // namespace
} // namespace p2prc::registry::test
