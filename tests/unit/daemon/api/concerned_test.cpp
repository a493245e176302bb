#include "daemon/api/concerned.h"
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace p2prc::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ConcernedTest : public testing::Test {
  protected:
    ConcernedTest() {
        replica_->reset("store", 1,
                        {{keys::process("web"), process(7, "web", "home1"), 1},
                         {keys::process("api"), process(8, "api", "home2"), 1},
                         {keys::domain("a.example"), domain("a.example", "web"), 1},
                         {keys::domain("b.example"), domain("b.example", "api"), 1}});
    }
    static Json process(std::uint32_t id, const std::string& name, const std::string& node) {
        ProcessRecord record;
        record.id = id;
        record.name = name;
        record.node = node;
        record.spec = spec_from_document(Json{{"name", name}, {"run", {{"command", "exec x"}}}}).value();
        return to_json(record);
    }
    static Json domain(const std::string& fqdn, const std::string& process) {
        DomainRecord record;
        record.mapping_id = 1;
        record.domain = fqdn;
        record.process = process;
        return to_json(record);
    }
    auto processes(const state::Change& change) { return *concerned(view_, keys::process_objects, change); }
    auto nodes(const state::Change& change) { return *concerned(view_, keys::node_objects, change); }
    auto domains(const state::Change& change) { return *concerned(view_, keys::domain_objects, change); }

    net::TemporaryDirectory directory_;
    state::Disk disk_;
    std::unique_ptr<state::Replica> replica_ =
        state::Replica::open(directory_.path() / "replica.db", disk_).value();
    std::unique_ptr<state::OwnState> own_ =
        state::OwnState::open(directory_.path() / "own.db", disk_).value();
    View view_{*replica_, *own_, [] { return std::string("home1"); }};
};

TEST_F(ConcernedTest, AReportIsOfOneProcessAndItsDomains) {
    const state::Change change{keys::status("home1", 7), Json::object(), 2};
    EXPECT_THAT(processes(change), ElementsAre("7"));
    EXPECT_THAT(domains(change), ElementsAre("a.example"));
    EXPECT_THAT(nodes(change), IsEmpty());
}

TEST_F(ConcernedTest, WhatAnOwnerMayUseIsOfNone) {
    const state::Change change{keys::owner_limit("home2"), Json::object(), 2};
    EXPECT_THAT(processes(change), IsEmpty());
    EXPECT_THAT(nodes(change), IsEmpty());
    EXPECT_THAT(domains(change), IsEmpty());
}

TEST_F(ConcernedTest, ANodeIsThatOfItsProcessesAndDomains) {
    const state::Change change{keys::live("home2"), Json::object(), 2};
    EXPECT_THAT(processes(change), ElementsAre("8"));
    EXPECT_THAT(domains(change), ElementsAre("b.example"));
    EXPECT_THAT(nodes(change), ElementsAre("home2"));
}

TEST_F(ConcernedTest, AMappingIsOfTheProcessBeforeAndNow) {
    const state::Change change{keys::domain("a.example"), domain("a.example", "api"), 2,
                               domain("a.example", "web")};
    EXPECT_THAT(processes(change), ElementsAre("7", "8"));
    EXPECT_THAT(domains(change), ElementsAre("a.example"));
}

TEST_F(ConcernedTest, WhatIsGoneWasAnObject) {
    replica_->apply("store", 2, {{keys::process("web"), std::nullopt, 2}});
    const state::Change change{keys::process("web"), std::nullopt, 2, process(7, "web", "home1")};
    EXPECT_THAT(processes(change), ElementsAre("7"));
    EXPECT_THAT(domains(change), ElementsAre("a.example"));
}

TEST_F(ConcernedTest, TheFleetIsAllNodes) {
    const state::Change change{std::string(keys::fleet), Json::object(), 2};
    EXPECT_FALSE(concerned(view_, keys::node_objects, change));
    EXPECT_THAT(processes(change), IsEmpty());
}

TEST_F(ConcernedTest, TheEdgeIsAllDomains) {
    const state::Change change{keys::edge("home2"), Json{{"up", false}}, 2};
    EXPECT_FALSE(concerned(view_, keys::domain_objects, change));
    EXPECT_THAT(nodes(change), IsEmpty());
}

TEST_F(ConcernedTest, WhatIsSaidOfAnEdgeThatStaysUpIsOfNoDomain) {
    const Json up{{"up", true}}, behind{{"up", true}, {"detail", "it serves revision 3"}},
        down{{"up", false}};
    EXPECT_THAT(domains({keys::edge("home2"), behind, 2, up}), IsEmpty());
    EXPECT_THAT(domains({keys::edge("home2"), up, 2}), IsEmpty()) << "it is not known to be down before";
    EXPECT_FALSE(concerned(view_, keys::domain_objects, {keys::edge("home2"), up, 2, down}));
    EXPECT_FALSE(concerned(view_, keys::domain_objects, {keys::edge("home2"), std::nullopt, 2, down}));
}

// A family that only this test has: its row says whom it concerns.
TEST_F(ConcernedTest, AnotherFamilyIsAnnouncedByItsRow) {
    const keys::ExtraFamily loads({.prefix = "/load/",
                                   .kind = keys::Kind::Owned,
                                   .parts = {keys::Part::Node},
                                   .node = keys::node_in_key,
                                   .announces = keys::node_objects | keys::process_objects});
    const state::Change change{"/load/home2", Json::object(), 2};
    EXPECT_THAT(nodes(change), ElementsAre("home2"));
    EXPECT_THAT(processes(change), ElementsAre("8"));
    EXPECT_THAT(domains(change), IsEmpty());
    // And of this node it is read where this node writes it.
    own_->set("/load/home1", Json{{"load", 1}});
    EXPECT_NE(view_.get("/load/home1"), nullptr);
}

} // namespace
} // namespace p2prc::daemon
