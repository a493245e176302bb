#include "process/supervisor_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace p2prc::process {
namespace {

using State = SupervisorState;
using Event = SupervisorEvent;

std::vector<State> all_states() {
    std::vector<State> states;
    for (int state = 0; state <= static_cast<int>(State::Paused); ++state)
        states.push_back(static_cast<State>(state));
    return states;
}

std::vector<Event> all_events() {
    std::vector<Event> events;
    for (int event = 0; event <= static_cast<int>(Event::Held); ++event)
        events.push_back(static_cast<Event>(event));
    return events;
}

// Every event in every state: "-" has no place there.
constexpr std::string_view table[][14] = {
    // state, then start ordered, refused, launched, executed, became ready, stop ordered, deactivating, not
    // running, forgotten, epoch passed, epoch granted, held for move, held
    {"absent", "preparing", "-", "-", "starting", "-", "stopping", "stopping", "ended", "absent", "fenced",
     "-", "-", "paused"},
    {"preparing", "preparing", "ended", "starting", "starting", "-", "-", "-", "ended", "-", "fenced", "-",
     "-", "-"},
    {"starting", "-", "ended", "-", "starting", "ready", "stopping", "stopping", "ended", "absent", "-", "-",
     "-", "paused"},
    {"ready", "-", "-", "-", "starting", "-", "stopping", "stopping", "ended", "absent", "-", "-", "-",
     "paused"},
    {"stopping", "-", "-", "-", "starting", "-", "stopping", "stopping", "ended", "absent", "-", "-", "-",
     "-"},
    {"ended", "preparing", "-", "-", "starting", "-", "stopping", "stopping", "ended", "absent", "fenced",
     "-", "moving", "paused"},
    {"fenced", "-", "-", "-", "starting", "-", "-", "-", "fenced", "absent", "fenced", "ended", "-", "-"},
    {"moving", "preparing", "-", "-", "-", "-", "-", "-", "ended", "-", "fenced", "-", "-", "-"},
    {"paused", "preparing", "-", "-", "starting", "-", "stopping", "stopping", "ended", "absent", "fenced",
     "-", "-", "paused"},
};

TEST(SupervisorState, EveryEventInEveryStateIsInTheTable) {
    ASSERT_EQ(std::size(table), all_states().size());
    ASSERT_EQ(std::size(table[0]), all_events().size() + 1);
    for (const auto state : all_states()) {
        const auto& row = table[static_cast<std::size_t>(state)];
        EXPECT_EQ(row[0], name_of(state));
        for (const auto event : all_events()) {
            const auto to = next(state, event);
            EXPECT_EQ(to ? name_of(*to) : "-", row[1 + static_cast<std::size_t>(event)])
                << name_of(state) << " + " << name_of(event);
        }
    }
}

TEST(SupervisorState, NothingStartsWhatIsFencedButALaterEpoch) {
    EXPECT_FALSE(next(State::Fenced, Event::StartOrdered));
    EXPECT_EQ(next(State::Fenced, Event::EpochGranted), State::Ended);
    EXPECT_EQ(next(State::Ended, Event::StartOrdered), State::Preparing);
}

TEST(SupervisorState, OnlyWhatWasStartedBecomesReady) {
    for (const auto state : all_states())
        EXPECT_EQ(next(state, Event::BecameReady).has_value(), state == State::Starting) << name_of(state);
}

TEST(SupervisorState, AnEndIsReachedFromEveryStateByEventsAlone) {
    for (const auto state : all_states()) {
        std::set<State> reached{state};
        for (std::size_t before = 0; before != reached.size();) {
            before = reached.size();
            for (const auto from : std::set(reached))
                for (const auto event : all_events())
                    if (const auto to = next(from, event)) reached.insert(*to);
        }
        EXPECT_TRUE(reached.contains(State::Ended)) << name_of(state);
        EXPECT_TRUE(reached.contains(State::Absent)) << name_of(state);
    }
}

TEST(SupervisorState, RunningMeansReady) {
    for (const auto state : all_states())
        EXPECT_EQ(reported_state(state) == ProcessState::Running, state == State::Ready) << name_of(state);
}

TEST(SupervisorState, NamesAreDistinct) {
    std::set<std::string_view> names;
    for (const auto state : all_states())
        EXPECT_TRUE(names.insert(name_of(state)).second && !name_of(state).empty());
    for (const auto event : all_events())
        EXPECT_TRUE(names.insert(name_of(event)).second && !name_of(event).empty());
}

} // namespace
} // namespace p2prc::process
