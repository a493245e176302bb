#include "net/fair_slots.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <string>
#include <vector>

namespace p2prc::net {
namespace {

namespace asio = boost::asio;

class FairSlotsTest : public testing::Test {
  protected:
    // Asks for `count` slots and holds those that come.
    void ask(FairSlots& slots, const std::string& key, int count = 1) {
        for (int n = 0; n < count; ++n)
            slots.enter(key, [this, key](FairSlots::Holder slot) {
                served.push_back(key);
                held.emplace_back(key, std::move(slot));
            });
    }
    int held_by(const std::string& key) const {
        return static_cast<int>(
            std::ranges::count_if(held, [&](const auto& one) { return one.first == key; }));
    }
    // The first one that is held, or the first one of the key.
    void end_one() { held.pop_front(); }
    void end_one(const std::string& key) {
        held.erase(std::ranges::find_if(held, [&](const auto& one) { return one.first == key; }));
    }

    std::vector<std::string> served;
    std::list<std::pair<std::string, FairSlots::Holder>> held;
};

TEST_F(FairSlotsTest, OneKeyLeavesRoomForAnother) {
    FairSlots slots(4, 2);
    ask(slots, "mallory", 10);
    EXPECT_EQ(held_by("mallory"), 2);
    EXPECT_EQ(slots.waiting("mallory"), 8u);
    ask(slots, "bob");
    EXPECT_EQ(held_by("bob"), 1);
    end_one("mallory");
    EXPECT_EQ(held_by("mallory"), 2);
    EXPECT_EQ(slots.waiting("mallory"), 7u);
    EXPECT_EQ(slots.waiting("bob"), 0u);
}

TEST_F(FairSlotsTest, AFloodOfOneKeyIsWaitedForOnce) {
    FairSlots slots(1, 1);
    ask(slots, "mallory", 100);
    ask(slots, "bob");
    end_one();
    EXPECT_EQ(held_by("bob"), 1);
}

TEST_F(FairSlotsTest, KeysTakeTurns) {
    FairSlots slots(1, 1);
    ask(slots, "a", 3);
    ask(slots, "b", 2);
    ask(slots, "c");
    while (!held.empty())
        end_one();
    EXPECT_EQ(served, (std::vector<std::string>{"a", "b", "c", "a", "b", "a"}));
}

TEST_F(FairSlotsTest, AFreeSlotThatAKeyMayNotHaveGoesToTheNext) {
    FairSlots slots(3, 2);
    ask(slots, "a", 3);
    ask(slots, "b", 3);
    EXPECT_EQ(served, (std::vector<std::string>{"a", "a", "b"}));
    end_one("b");
    EXPECT_EQ(held_by("b"), 1);
    end_one("a");
    EXPECT_EQ(held_by("b"), 2);
    EXPECT_EQ(held_by("a"), 1);
}

TEST_F(FairSlotsTest, OneThatDropsItsSlotAtOnceMakesRoom) {
    FairSlots slots(1, 1);
    ask(slots, "a");
    int called = 0;
    for (int n = 0; n < 100'000; ++n) // more than calls fit into each other
        slots.enter("a", [&](const FairSlots::Holder&) { ++called; });
    ask(slots, "a");
    end_one();
    EXPECT_EQ(called, 100'000);
    EXPECT_EQ(held_by("a"), 1);
}

TEST_F(FairSlotsTest, OneThatComesBackFromItsCallWaitsItsTurn) {
    FairSlots slots(1, 1);
    slots.enter("a", [&](FairSlots::Holder slot) {
        held.emplace_back("a", std::move(slot));
        ask(slots, "b");
    });
    EXPECT_EQ(held_by("b"), 0);
    end_one();
    EXPECT_EQ(held_by("b"), 1);
}

TEST_F(FairSlotsTest, CoroutinesWaitInTheSameOrder) {
    asio::io_context loop;
    FairSlots slots(1, 1);
    const auto hold = [&](std::string key) -> asio::awaitable<void> {
        auto slot = co_await slots.acquire(key);
        served.push_back(key);
        held.emplace_back(key, std::move(slot));
    };
    for (const auto* key : {"a", "a", "b"})
        asio::co_spawn(loop, hold(key), asio::detached);
    loop.poll();
    EXPECT_EQ(served, (std::vector<std::string>{"a"}));
    while (!held.empty()) {
        end_one();
        loop.restart();
        loop.poll();
    }
    EXPECT_EQ(served, (std::vector<std::string>{"a", "b", "a"}));
}

TEST_F(FairSlotsTest, ACoroutineThatIsGoneTakesNoSlotAlong) {
    FairSlots slots(1, 1);
    ask(slots, "a");
    {
        asio::io_context loop;
        const auto wait = [&]() -> asio::awaitable<void> { const auto slot = co_await slots.acquire("a"); };
        asio::co_spawn(loop, wait(), asio::detached);
        loop.poll();
        EXPECT_EQ(slots.waiting("a"), 1u);
        end_one(); // it is given the slot, but does not run any more
    }
    ask(slots, "a");
    EXPECT_EQ(held_by("a"), 1);
}

TEST_F(FairSlotsTest, ASlotMayOutliveThemAll) {
    {
        FairSlots slots(1, 1);
        ask(slots, "a", 2);
    }
    end_one();
    EXPECT_EQ(served.size(), 1u);
}

} // namespace
} // namespace p2prc::net
