#include "core/process_status.h"
#include "core/records.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

using Json = nlohmann::json;

TEST(Records, AnOlderProgramKeepsFieldsOfANewerOne) {
    const Json stored = {
        {"schema", 9}, {"name", "home1"}, {"key", "ab"}, {"role", "owner"}, {"future", {1, 2}}};
    const auto node = node_from_json(stored);
    ASSERT_TRUE(node);
    EXPECT_EQ(node->role, Role::Owner);
    EXPECT_EQ(to_json(*node)["future"], Json({1, 2}));
}

TEST(Records, AnUnknownRoleIsTheLeast) {
    const auto node = node_from_json({{"name", "x"}, {"role", "emperor"}});
    ASSERT_TRUE(node);
    EXPECT_EQ(node->role, Role::Member);
}

TEST(Records, WhatANodeHasNoneOfIsNotStored) {
    NodeRecord node;
    node.name = "home1";
    const auto plain = to_json(node);
    for (const auto* key : {"labels", "custom", "draining"})
        EXPECT_FALSE(plain.contains(key)) << key;
    node.labels = {{"ssd", ""}, {"room", "attic"}};
    node.custom = {{"owner", "Grete"}};
    node.draining = true;
    const auto read = node_from_json(to_json(node));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->labels, node.labels);
    EXPECT_EQ(read->custom, node.custom);
    EXPECT_TRUE(read->draining);
    EXPECT_EQ(to_json(*read), to_json(node));
}

TEST(Records, ProcessRoundTrips) {
    ProcessRecord process;
    process.id = 7;
    process.name = "web";
    process.node = "home1";
    process.desired = Desired::Stopped;
    process.change = 3;
    process.port = 20001;
    process.spec.name = "web";
    process.spec.port = 0;
    process.spec.run.command = {"/bin/true"};
    process.digest = spec_digest(process.spec);
    EXPECT_FALSE(to_json(process).contains("custom"));
    process.custom = {{"ask", "Grete"}};
    const auto read = process_from_json(to_json(process));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(to_json(*read), to_json(process));
    EXPECT_EQ(read->custom, process.custom);
    EXPECT_EQ(read->port, 20001);
    EXPECT_EQ(read->desired, Desired::Stopped);
}

TEST(Records, WrongTypesTakeTheDefault) {
    const auto domain =
        domain_from_json({{"domain", 3}, {"port", 70000}, {"mapping_id", -1}, {"tls", "later"}});
    ASSERT_TRUE(domain);
    EXPECT_EQ(domain->domain, "");
    EXPECT_EQ(domain->port, 0);
    EXPECT_EQ(domain->mapping_id, 0U);
    EXPECT_FALSE(domain_from_json(Json::array()));
    EXPECT_FALSE(process_from_json({{"name", "no spec"}}));
}

TEST(Status, RoundTrips) {
    ProcessStatus status;
    status.id = 7;
    status.name = "web";
    status.node = "home1";
    status.state = ProcessState::Failed;
    status.memory_bytes = 0;
    status.cpu_seconds = 1.5;
    status.reason = StopReason{.kind = StopKind::Signal, .signal = "SIGSEGV", .log = {"a", "b"}};
    status.applied = 4;
    status.command = "/app/start /data";
    EXPECT_EQ(status_from_json(status_to_json(status)), status);
    EXPECT_EQ(status_from_json(Json::array()).state, ProcessState::Lost);
}

TEST(StopKinds, NamesRoundTrip) {
    for (const auto& row : stop_kind_table()) {
        EXPECT_EQ(stop_kind_from_name(row.name), row.kind);
        EXPECT_EQ(stop_kind_name(row.kind), row.name);
    }
    EXPECT_EQ(stop_kind_from_name("from-the-future"), StopKind::Unknown);
}

TEST(StopReasonText, IsOneLineForPeople) {
    StopReason reason{
        .kind = StopKind::StartFailed, .code = 203, .step = "exec", .node = "home1", .at = "now"};
    EXPECT_EQ(reason_text(reason), "start-failed 203 at exec (on home1, now)");
}

TEST(StopReasonText, KnowsOfAPowerLossOnlyAfterOrBeforeWhatItWas) {
    StopReason reason{.kind = StopKind::PowerLoss, .node = "home1", .at = "10:05"};
    EXPECT_EQ(reason_text(reason), "power-loss (on home1, before 10:05)");
    reason.at = "10:00";
    reason.detail = "the machine went off after 10:00";
    EXPECT_EQ(reason_text(reason), "power-loss: the machine went off after 10:00 (on home1, after 10:00)");
}

} // namespace
} // namespace p2prc
