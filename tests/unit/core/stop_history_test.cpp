#include "core/stop_history.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

StopReason stop_at(int second, std::string detail = "") {
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.code = second;
    reason.detail = std::move(detail);
    reason.log = {"a line"};
    reason.at = fmt::format("2026-01-01T00:00:{:02}Z", second);
    return reason;
}

TEST(StopHistory, TheLastOnesAreKept) {
    nlohmann::json document;
    for (int second = 1; second <= 15; ++second)
        document = with_stop(document, stop_at(second));
    const auto stops = stops_from_json(document);
    ASSERT_EQ(stops.size(), most_stops);
    EXPECT_EQ(stops.front().code, 15);
    EXPECT_EQ(stops.back().code, 6);
    EXPECT_TRUE(stops.front().log.empty());
}

TEST(StopHistory, MoreOfTheSameStopTakesItsPlace) {
    auto document = with_stop(with_stop({}, stop_at(1)), stop_at(2));
    document = with_stop(document, stop_at(2, "it is tried again"));
    const auto stops = stops_from_json(document);
    ASSERT_EQ(stops.size(), 2U);
    EXPECT_EQ(stops[0].detail, "it is tried again");
}

TEST(StopHistory, TextsAreBounded) {
    const auto document = with_stop({}, stop_at(1, std::string(100'000, 'x')));
    EXPECT_LT(document.dump().size(), 1000U);
}

TEST(StopHistory, WhatCannotBeReadIsLeftOut) {
    EXPECT_TRUE(stops_from_json(nullptr).empty());
    EXPECT_TRUE(stops_from_json({{"stops", "none"}}).empty());
    auto document = with_stop({}, stop_at(1));
    document["stops"].push_back(7);
    EXPECT_EQ(stops_from_json(document).size(), 1U);
    EXPECT_EQ(stops_from_json(with_stop({{"stops", 7}}, stop_at(2))).size(), 1U);
}

} // namespace
} // namespace p2prc
