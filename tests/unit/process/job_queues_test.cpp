#include "process/job_queues.h"

#include <gtest/gtest.h>

#include <list>
#include <string>

namespace p2prc::process {
namespace {

using Kind = JobShare::Kind;

class JobQueuesTest : public testing::Test {
  protected:
    // Asks for `count` slots and holds those that come.
    void ask(net::FairSlots& slots, const std::string& maker, int count = 1) {
        for (int n = 0; n < count; ++n)
            slots.enter(maker, [this](net::FairSlots::Holder slot) { held.push_back(std::move(slot)); });
    }

    JobQueues queues;
    std::list<net::FairSlots::Holder> held;
};

TEST_F(JobQueuesTest, NothingWaitsForStopsOfOtherNodesProcesses) {
    for (int n = 0; n < 20; ++n)
        ask(queues.stops(Kind::Remote), "member" + std::to_string(n), 100);
    const auto stuck = held.size();
    for (auto* slots : {&queues.stops(Kind::Local), &queues.starts(Kind::Local), &queues.starts(Kind::Own),
                        &queues.starts(Kind::Certificates), &queues.starts(Kind::Remote)})
        ask(*slots, "", 1);
    EXPECT_EQ(held.size(), stuck + 5);
}

// A command of theirs takes as long as it is let, and as many as they like wait.
TEST_F(JobQueuesTest, ProbesOfThisNodesProcessesDoNotWaitForThoseOfOtherNodes) {
    for (int n = 0; n < 20; ++n)
        ask(queues.starts(Kind::RemoteProbes), "member" + std::to_string(n), 100);
    const auto stuck = held.size();
    ask(queues.starts(Kind::Probes), "web");
    EXPECT_EQ(held.size(), stuck + 1);
}

// dbus-daemon allows PID 1 512 match rules, and it makes one for each job that is under way.
TEST_F(JobQueuesTest, AllTogetherStayFarBelowWhatTheBusAllows) {
    for (const auto kind :
         {Kind::Own, Kind::Certificates, Kind::Probes, Kind::RemoteProbes, Kind::Local, Kind::Remote})
        for (int n = 0; n < 10; ++n) {
            ask(queues.starts(kind), std::to_string(n), 100);
            ask(queues.stops(kind), std::to_string(n), 100);
        }
    EXPECT_LE(held.size(), 256U);
}

} // namespace
} // namespace p2prc::process
