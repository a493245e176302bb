#include "daemon/fleet/role_change.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

namespace p2prc::daemon {
namespace {

using State = RoleState;
using Event = RoleEvent;

std::vector<State> all_states() {
    std::vector<State> states;
    for (int state = 0; state <= static_cast<int>(State::Stopped); ++state)
        states.push_back(static_cast<State>(state));
    return states;
}

std::vector<Event> all_events() {
    std::vector<Event> events;
    for (int event = 0; event <= static_cast<int>(Event::Stop); ++event)
        events.push_back(static_cast<Event>(event));
    return events;
}

// Every event in every state: "-" has no place there.
constexpr std::string_view table[][12] = {
    // state, then init, join, rejoin, leave, registry opened, kept, lost, admitted, belongs, unanswered,
    // released
    {"starting", "-", "-", "-", "-", "root", "-", "no registry", "-", "member", "leave pending", "returning"},
    {"root", "initialising", "joining", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
    {"no registry", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
    {"initialising", "-", "-", "-", "-", "-", "root", "-", "-", "-", "-", "-"},
    {"joining", "-", "-", "-", "-", "-", "root", "-", "connecting", "-", "-", "-"},
    {"connecting", "-", "-", "-", "-", "-", "-", "-", "-", "member", "leave pending", "-"},
    {"member", "-", "-", "connecting", "leaving", "-", "-", "-", "-", "-", "-", "-"},
    {"leaving", "-", "-", "-", "-", "-", "-", "-", "-", "member", "leave pending", "returning"},
    {"leave pending", "-", "-", "connecting", "leaving", "-", "-", "-", "-", "member", "-", "returning"},
    {"returning", "-", "-", "-", "-", "root", "-", "no registry", "-", "-", "leave pending", "-"},
    {"stopped", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
};

TEST(RoleChange, EveryEventInEveryStateIsInTheTable) {
    ASSERT_EQ(std::size(table), all_states().size());
    for (const auto state : all_states()) {
        const auto& row = table[static_cast<std::size_t>(state)];
        EXPECT_EQ(row[0], name_of(state));
        for (const auto event : all_events()) {
            const auto to = next(state, event);
            const auto expected = event == Event::Stop ? "stopped" : row[1 + static_cast<std::size_t>(event)];
            EXPECT_EQ(to ? name_of(*to) : "-", expected) << name_of(state) << " + " << name_of(event);
        }
    }
}

// Brings a change into `state` by events alone.
RoleChange in(State state) {
    static const std::map<State, std::vector<Event>> ways{
        {State::Starting, {}},
        {State::Root, {Event::RegistryOpened}},
        {State::NoRegistry, {Event::RegistryLost}},
        {State::Initialising, {Event::RegistryOpened, Event::Init}},
        {State::Joining, {Event::RegistryOpened, Event::Join}},
        {State::Connecting, {Event::RegistryOpened, Event::Join, Event::Admitted}},
        {State::Member, {Event::Belongs}},
        {State::Leaving, {Event::Belongs, Event::Leave}},
        {State::LeavePending, {Event::Unanswered}},
        {State::Returning, {Event::Released}},
        {State::Stopped, {Event::Stop}},
    };
    RoleChange change;
    for (const auto event : ways.at(state))
        EXPECT_TRUE(change.take(event));
    EXPECT_TRUE(change.is(state)) << name_of(change.state());
    return change;
}

TEST(RoleChange, NoChangeBeginsWhileOneIsUnderWay) {
    for (const auto state : all_states()) {
        auto change = in(state);
        if (!change.under_way()) continue;
        for (const auto event : {Event::Init, Event::Join, Event::Rejoin, Event::Leave}) {
            const auto refused = change.take(event);
            ASSERT_FALSE(refused) << name_of(state) << " + " << name_of(event);
            EXPECT_EQ(refused.error().code, ErrorCode::Conflict);
            EXPECT_TRUE(change.is(state));
        }
    }
}

// A change that is under way ends, whatever comes of it: each has an event that leads to a state in which the
// node can be used.
TEST(RoleChange, EachChangeCanEnd) {
    for (const auto state : all_states()) {
        std::set<State> reached{state};
        for (bool more = true; more;) {
            more = false;
            for (const auto from : std::set(reached))
                for (const auto event : all_events())
                    if (const auto to = next(from, event); to && event > Event::Leave && event != Event::Stop)
                        more = reached.insert(*to).second || more;
        }
        EXPECT_TRUE(std::ranges::any_of(reached, [](State end) {
            return end == State::Root || end == State::NoRegistry || end == State::Member ||
                   end == State::Stopped;
        })) << name_of(state);
    }
}

TEST(RoleChange, WhatIsWrittenBetweenTwoRegistriesIsRefused) {
    for (const auto state : all_states())
        EXPECT_EQ(in(state).between_registries(),
                  state == State::Joining || state == State::Leaving || state == State::Returning)
            << name_of(state);
}

TEST(RoleChange, AfterTheEndNothingHappensAnyMore) {
    for (const auto state : all_states()) {
        auto change = in(state);
        EXPECT_TRUE(change.take(Event::Stop));
        const auto refused = change.take(Event::RegistryOpened);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::Unreachable);
        EXPECT_TRUE(change.stopped());
    }
}

} // namespace
} // namespace p2prc::daemon
