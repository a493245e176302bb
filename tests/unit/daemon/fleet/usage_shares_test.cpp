// How several nodes share the room of one answer.
#include "daemon/fleet/usage_shares.h"

#include <gmock/gmock.h>

namespace p2prc::daemon {
namespace {

NodeUsage usage_of(std::uint32_t processes) {
    NodeUsage usage;
    usage.measured_usec = 1;
    for (std::uint32_t id = 1; id <= processes; ++id)
        usage.processes[id].invocation = std::string(32, 'a');
    return usage;
}

std::size_t rows(const Json& answer, const std::string& node) {
    return answer.at(node).at("processes").size();
}

TEST(UsageShares, WhatFitsIsWhole) {
    const UsageByNode nodes{{"attic", usage_of(3)}, {"cellar", usage_of(50)}, {"shed", usage_of(0)}};
    const auto answer = share_usage(nodes, 1U << 20U);
    for (const auto& [node, usage] : nodes)
        EXPECT_EQ(node_usage_from_json(answer.at(node)), usage) << node;
    EXPECT_EQ(share_usage({}, 0), Json::object());
}

TEST(UsageShares, OneWithManyTakesNoRoomFromTheOthers) {
    constexpr std::size_t room = 20'000;
    const auto answer =
        share_usage({{"attic", usage_of(10'000)}, {"cellar", usage_of(20)}, {"shed", usage_of(5)}}, room);
    EXPECT_EQ(rows(answer, "cellar"), 20U);
    EXPECT_EQ(rows(answer, "shed"), 5U);
    EXPECT_GT(rows(answer, "attic"), 200U) << "it has what the others leave";
    EXPECT_LT(answer.dump().size(), room + 1000);
}

TEST(UsageShares, ThoseWithManyShareAlike) {
    constexpr std::size_t room = 20'000;
    const auto answer =
        share_usage({{"attic", usage_of(10'000)}, {"cellar", usage_of(9'000)}, {"shed", usage_of(5)}}, room);
    EXPECT_NEAR(static_cast<double>(rows(answer, "attic")), static_cast<double>(rows(answer, "cellar")), 3);
    EXPECT_EQ(rows(answer, "shed"), 5U);
    EXPECT_LT(answer.dump().size(), room + 1000);
}

} // namespace
} // namespace p2prc::daemon
