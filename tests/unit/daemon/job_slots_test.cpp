#include "daemon/process/job_slots.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using Kind = JobShare::Kind;

class JobSlotsTest : public testing::Test {
  protected:
    // Asks for `count` slots and holds those that come.
    void ask(JobSlots& slots, const std::string& maker, int count = 1) {
        for (int n = 0; n < count; ++n)
            asio::co_spawn(loop, hold(slots, maker), asio::detached);
        settle();
    }
    int held_by(const std::string& maker) const {
        return static_cast<int>(
            std::ranges::count_if(held, [&](const auto& one) { return one.first == maker; }));
    }
    // The first one of the maker ends.
    void end_one(const std::string& maker) {
        held.erase(std::ranges::find_if(held, [&](const auto& one) { return one.first == maker; }));
        settle();
    }
    void settle() {
        loop.restart();
        loop.poll();
    }

    asio::io_context loop;
    std::list<std::pair<std::string, JobSlots::Holder>> held; // before the slots go

  private:
    asio::awaitable<void> hold(JobSlots& slots, std::string maker) {
        auto slot = co_await slots.acquire(maker);
        held.emplace_back(maker, std::move(slot));
    }
};

TEST_F(JobSlotsTest, OneMakerLeavesRoomForAnother) {
    JobSlots slots(loop.get_executor(), 4, 2);
    ask(slots, "mallory", 10);
    EXPECT_EQ(held_by("mallory"), 2);
    ask(slots, "bob", 1);
    EXPECT_EQ(held_by("bob"), 1);
    end_one("mallory");
    EXPECT_EQ(held_by("mallory"), 2);
    held.clear();
}

TEST_F(JobSlotsTest, WhoWaitsGoesInTurn) {
    JobSlots slots(loop.get_executor(), 2, 2);
    ask(slots, "mallory", 3);
    ask(slots, "bob", 1);
    EXPECT_EQ(held_by("bob"), 0);
    end_one("mallory");
    EXPECT_EQ(held_by("mallory"), 2);
    end_one("mallory");
    EXPECT_EQ(held_by("bob"), 1);
    held.clear();
}

TEST_F(JobSlotsTest, NothingWaitsForStopsOfOtherNodesProcesses) {
    JobQueues queues(loop.get_executor());
    for (int n = 0; n < 20; ++n)
        ask(queues.stops(Kind::Remote), "member" + std::to_string(n), 100);
    const auto stuck = held.size();
    for (auto* slots : {&queues.stops(Kind::Local), &queues.starts(Kind::Local), &queues.starts(Kind::Own),
                        &queues.starts(Kind::Certificates), &queues.starts(Kind::Remote)})
        ask(*slots, "", 1);
    EXPECT_EQ(held.size(), stuck + 5);
    held.clear();
}

// dbus-daemon allows PID 1 512 match rules, and it makes one for each job that is under way.
TEST_F(JobSlotsTest, AllTogetherStayFarBelowWhatTheBusAllows) {
    JobQueues queues(loop.get_executor());
    for (const auto kind : {Kind::Own, Kind::Certificates, Kind::Local, Kind::Remote})
        for (int n = 0; n < 10; ++n) {
            ask(queues.starts(kind), std::to_string(n), 100);
            ask(queues.stops(kind), std::to_string(n), 100);
        }
    EXPECT_LE(held.size(), 256U);
    held.clear();
}

} // namespace
} // namespace p2prc::daemon
