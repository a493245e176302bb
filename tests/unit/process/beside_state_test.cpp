#include "process/beside_state.h"

#include <gtest/gtest.h>

#include <iterator>
#include <vector>

namespace p2prc::process {
namespace {

std::vector<BesideState> beside_states() {
    std::vector<BesideState> states;
    for (int state = 0; state <= static_cast<int>(BesideState::Stopping); ++state)
        states.push_back(static_cast<BesideState>(state));
    return states;
}

std::vector<BesideEvent> beside_events() {
    std::vector<BesideEvent> events;
    for (int event = 0; event <= static_cast<int>(BesideEvent::Gone); ++event)
        events.push_back(static_cast<BesideEvent>(event));
    return events;
}

// Every event in every state: "-" has no place there.
constexpr std::string_view beside_table[][9] = {
    // state, then ordered, refused, launched, became ready, proved, found, stop ordered, gone
    {"none", "preparing", "-", "-", "-", "-", "draining", "stopping", "none"},
    {"preparing", "-", "none", "starting", "-", "-", "-", "stopping", "-"},
    {"starting", "-", "-", "-", "proving", "-", "-", "stopping", "none"},
    {"proving", "-", "-", "-", "-", "draining", "-", "stopping", "none"},
    {"draining", "-", "-", "-", "-", "-", "-", "stopping", "none"},
    {"stopping", "-", "-", "-", "-", "-", "-", "stopping", "none"},
};

TEST(BesideState, EveryEventInEveryStateIsInTheTable) {
    ASSERT_EQ(std::size(beside_table), beside_states().size());
    ASSERT_EQ(std::size(beside_table[0]), beside_events().size() + 1);
    for (const auto state : beside_states()) {
        const auto& row = beside_table[static_cast<std::size_t>(state)];
        EXPECT_EQ(row[0], name_of(state));
        for (const auto event : beside_events()) {
            const auto to = next(state, event);
            EXPECT_EQ(to ? name_of(*to) : "-", row[1 + static_cast<std::size_t>(event)])
                << name_of(state) << " + " << name_of(event);
        }
    }
}

TEST(BesideState, WhateverItIsItCanBeStoppedAndThenIsNotThere) {
    for (const auto state : beside_states()) {
        const auto stopped = next(state, BesideEvent::StopOrdered);
        ASSERT_TRUE(stopped) << name_of(state);
        EXPECT_EQ(next(*stopped, BesideEvent::Gone), BesideState::None);
    }
}

TEST(BesideState, NothingTakesOverThatWasNotReady) {
    for (const auto state : beside_states())
        EXPECT_EQ(next(state, BesideEvent::Proved).has_value(), state == BesideState::Proving)
            << name_of(state);
}

} // namespace
} // namespace p2prc::process
