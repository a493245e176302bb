// When the processes of a node are measured.
#include "core/process_status.h"
#include "daemon/measuring.h"
#include "state/disk.h"
#include "tests/unit/net/temporary_directory.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace p2prc::daemon {
namespace {

using namespace std::chrono_literals;

class MeasuringTest : public testing::Test {
  protected:
    MeasuringTest() : own(*state::OwnState::open((directory.path() / "own.db").string(), disk)) {}

    void status(ProcessState state, const std::string& invocation, std::uint64_t memory = 0) {
        ProcessStatus status;
        status.id = 7;
        status.state = state;
        status.invocation = invocation;
        if (memory) status.memory_bytes = memory;
        own->set("/status/home1/7", status_to_json(status));
    }
    // Runs the loop until so much was measured; false when it was not, in a time that is long for that. What
    // would be over if this machine paused is done anew in `each_turn`.
    bool measured(
        int times, std::chrono::milliseconds limit = 20s, const std::function<void()>& each_turn = [] {}) {
        const auto until = std::chrono::steady_clock::now() + limit;
        while (count < times && std::chrono::steady_clock::now() < until) {
            each_turn();
            loop.run_for(5ms);
        }
        return count >= times;
    }

    net::TemporaryDirectory directory;
    state::Disk disk;
    std::unique_ptr<state::OwnState> own;
    boost::asio::io_context loop;
    int count = 0;
};

TEST_F(MeasuringTest, AStartIsMeasuredSoonAndOnce) {
    status(ProcessState::Running, "first");
    Measuring measuring(loop.get_executor(), *own,
                        [&] {
                            ++count;
                            status(ProcessState::Running, "first", 1000 + static_cast<std::uint64_t>(count));
                        },
                        {20ms, 1h, 1h, 1h});
    EXPECT_TRUE(measured(1));
    // What measuring writes is no start.
    const auto before = count;
    EXPECT_FALSE(measured(before + 1, 200ms));
    status(ProcessState::Running, "second");
    EXPECT_TRUE(measured(before + 1));
}

TEST_F(MeasuringTest, OftenWhileSomebodyLooksAndNotAfter) {
    Measuring measuring(loop.get_executor(), *own, [&] { ++count; }, {1h, 10ms, 1h, 100ms});
    EXPECT_FALSE(measured(1, 50ms));
    EXPECT_TRUE(measured(3, 20s, [&] { measuring.look(); }));
    loop.run_for(200ms);
    const auto before = count;
    EXPECT_FALSE(measured(before + 1, 100ms)) << "nobody looks any more";
}

} // namespace
} // namespace p2prc::daemon
