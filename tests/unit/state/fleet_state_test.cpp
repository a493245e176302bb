#include "core/keys.h"
#include "state/fleet_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::state {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

Json process(std::uint32_t id, const std::string& name, const std::string& node) {
    ProcessRecord record;
    record.id = id;
    record.name = name;
    record.node = node;
    record.spec = spec_from_document(Json{{"name", name}, {"run", {{"command", "exec x"}}}}).value();
    return to_json(record);
}

Json domain(const std::string& fqdn, const std::string& process, const std::string& node) {
    DomainRecord record;
    record.mapping_id = 1;
    record.domain = fqdn;
    record.process = process;
    record.process_id = 7;
    record.node = node;
    record.port = 80;
    return to_json(record);
}

class FleetStateTest : public testing::Test {
  protected:
    FleetStateTest() {
        state.put(keys::process("web"), process(7, "web", "home1"));
        state.put(keys::process("api"), process(8, "api", "home1"));
        state.put(keys::domain("a.example"), domain("a.example", "web", "home1"));
    }
    FleetState state;
};

TEST_F(FleetStateTest, FindsAProcessByIdNameAndNode) {
    EXPECT_EQ(state.process(7)->record.name, "web");
    EXPECT_EQ(state.process("api")->record.id, 8U);
    EXPECT_THAT(state.processes_on("home1"), ElementsAre("api", "web"));
    EXPECT_EQ(state.process(9), nullptr);
    EXPECT_THAT(state.processes_on("home2"), ElementsAre());
}

TEST_F(FleetStateTest, FollowsAProcessThatMoves) {
    state.put(keys::process("web"), process(9, "web", "home2"));
    EXPECT_EQ(state.process(7), nullptr);
    EXPECT_EQ(state.process(9)->record.name, "web");
    EXPECT_THAT(state.processes_on("home1"), ElementsAre("api"));
    EXPECT_THAT(state.processes_on("home2"), ElementsAre("web"));
    state.erase(keys::process("web"));
    EXPECT_EQ(state.process(9), nullptr);
    EXPECT_THAT(state.processes_on("home2"), ElementsAre());
}

TEST_F(FleetStateTest, FollowsADomainThatLeadsElsewhere) {
    EXPECT_THAT(state.domains_of("web"), ElementsAre("a.example"));
    EXPECT_THAT(state.domains_on("home1"), ElementsAre("a.example"));
    state.put(keys::domain("a.example"), domain("a.example", "api", "home2"));
    EXPECT_THAT(state.domains_of("web"), ElementsAre());
    EXPECT_THAT(state.domains_of("api"), ElementsAre("a.example"));
    EXPECT_THAT(state.domains_on("home2"), ElementsAre("a.example"));
}

TEST_F(FleetStateTest, HoldsWhatTheGateRefuses) {
    auto forged = process(10, "other", "home1");
    state.put("/processes/x/../web", forged);
    const auto* entry = state.process("x/../web");
    ASSERT_NE(entry, nullptr);
    EXPECT_TRUE(entry->refused);
    EXPECT_EQ(entry->accepted(), nullptr);
    EXPECT_EQ(entry->read(), nullptr) << "no list shows such a name";
    EXPECT_EQ(entry->record.name, "x/../web") << "the key's";
    forged["digest"] = "a\nb";
    state.put(keys::process("other"), forged);
    entry = state.process("other");
    EXPECT_EQ(entry->accepted(), nullptr);
    EXPECT_NE(entry->read(), nullptr);
    forged["spec"] = "nonsense";
    state.put(keys::process("other"), forged);
    entry = state.process("other");
    EXPECT_EQ(entry->read(), nullptr);
    EXPECT_EQ(entry->record.id, 10U);
    EXPECT_EQ(entry->record.node, "home1");
    EXPECT_EQ(state.processes_with(10).size(), 2U);
    state.put("/domains/x/../a.example", domain("a.example", "api", "home1"));
    EXPECT_EQ(state.domain("x/../a.example")->accepted(), nullptr);
    EXPECT_EQ(state.domain("x/../a.example")->record.domain, "x/../a.example") << "the key's";
    EXPECT_NE(state.domain("a.example")->accepted(), nullptr);
    EXPECT_THAT(state.domains_of("web"), ElementsAre("a.example"));
    EXPECT_THAT(state.domains_of("api"), ElementsAre("x/../a.example"));
    state.erase("/domains/x/../a.example");
    EXPECT_THAT(state.domains_of("api"), ElementsAre());
}

TEST_F(FleetStateTest, FindsANodeByItsKey) {
    NodeRecord node;
    node.name = "home1";
    node.key = std::string(64, 'a');
    state.put(keys::node("home1"), to_json(node));
    EXPECT_EQ(state.node_with_key(node.key)->record.name, "home1");
    EXPECT_EQ(state.node_with_key(""), nullptr);
    node.key = std::string(64, 'b');
    state.put(keys::node("home1"), to_json(node));
    EXPECT_EQ(state.node_with_key(std::string(64, 'a')), nullptr);
    EXPECT_NE(state.node_with_key(node.key), nullptr);
}

TEST_F(FleetStateTest, HasTheAddressThatANodeSaid) {
    EXPECT_EQ(state.address_of("home1"), "");
    state.put(keys::node_info("home1"), Json{{"ipv4", "192.0.2.1"}, {"ipv6", "2001:db8::1"}});
    state.put(keys::node_info("home2"), Json{{"ipv6", "2001:db8::2"}});
    EXPECT_EQ(state.address_of("home1"), "192.0.2.1");
    EXPECT_EQ(state.address_of("home2"), "2001:db8::2");
    state.put(keys::node_info("home2"), Json::object());
    EXPECT_EQ(state.address_of("home2"), "");
    state.erase(keys::node_info("home1"));
    EXPECT_EQ(state.address_of("home1"), "");
}

TEST_F(FleetStateTest, FindsReportsByIdAndName) {
    ProcessStatus status;
    status.id = 7;
    status.name = "web";
    state.put(keys::status("home1", 7), status_to_json(status));
    EXPECT_EQ(state.status("home1", 7)->name, "web");
    EXPECT_THAT(state.statuses_of("home1", "web"), ElementsAre(7U));
    EXPECT_EQ(state.status("home2", 7), nullptr);
    state.erase(keys::status("home1", 7));
    EXPECT_THAT(state.statuses_of("home1", "web"), IsEmpty());
    EXPECT_THAT(state.statuses("home1"), IsEmpty());
}

TEST_F(FleetStateTest, FindsTombstonesAndLocalActions) {
    state.put(keys::tombstone(7), to_json(Tombstone{7, "web", "home1", "ada@home1", "now"}));
    EXPECT_THAT(state.tombstones_of("web"), ElementsAre(7U));
    EXPECT_THAT(state.tombstones_on("home1"), ElementsAre(7U));
    state.erase(keys::tombstone(7));
    EXPECT_THAT(state.tombstones_on("home1"), IsEmpty());
    state.put(keys::local_action("home1", 7), to_json(LocalAction{.action = "kill", .sequence = 2}));
    EXPECT_TRUE(state.local_action("home1", 7)->is_kill());
    EXPECT_EQ(state.local_action("home1", 7)->id, 7U);
    state.erase(keys::local_action("home1", 7));
    EXPECT_EQ(state.local_action("home1", 7), nullptr);
}

TEST_F(FleetStateTest, IsEmptyAfterAll) {
    state.erase(keys::process("web"));
    state.erase(keys::process("api"));
    state.erase(keys::domain("a.example"));
    EXPECT_THAT(state.processes(), IsEmpty());
    EXPECT_THAT(state.domains_of("web"), ElementsAre());
    EXPECT_EQ(state.process(8), nullptr);
}

} // namespace
} // namespace p2prc::state
