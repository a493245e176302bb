// What a power cut leaves of replica and own state.
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/power_cut.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <future>

namespace p2prc::state {
namespace {

Json number(const char* name, int value) {
    return {{name, value}};
}

class PowerTest : public testing::Test {
  protected:
    PowerTest() {
        auto opened_replica = Replica::open((directory_.path() / "replica.db").string(), disk_);
        EXPECT_TRUE(opened_replica);
        replica_ = std::move(*opened_replica);
        auto opened_own = OwnState::open((directory_.path() / "own.db").string(), disk_);
        EXPECT_TRUE(opened_own);
        own_ = std::move(*opened_own);
    }

    template <class State>
    Result<void> flush(State& state) {
        boost::asio::io_context loop;
        Result<void> outcome = fail(ErrorCode::Failed, "did not end");
        boost::asio::co_spawn(loop, state.flush(),
                              [&](std::exception_ptr, Result<void> done) { outcome = done; });
        loop.run();
        return outcome;
    }
    // What a power cut at this moment leaves of a file.
    template <class State>
    std::unique_ptr<State> left(const std::string& file) {
        const auto to = directory_.path() / ("left" + std::to_string(++cuts_));
        p2prc::test::PowerCut::restore(directory_.path(), to);
        auto opened = State::open((to / file).string(), later_);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }

    p2prc::test::PowerCut power_;
    net::TemporaryDirectory directory_;
    Disk disk_, later_;
    std::unique_ptr<Replica> replica_;
    std::unique_ptr<OwnState> own_;
    int cuts_ = 0;
};

TEST_F(PowerTest, WhatIsAgreedStaysAndWhatIsMeasuredMayGo) {
    replica_->reset("s", 1, {{"/processes/web", number("change", 1), 1}});
    ASSERT_TRUE(replica_->apply("s", 2, {{"/status/home/1", number("memory", 7), 2}}));
    ASSERT_TRUE(flush(*replica_));
    EXPECT_EQ(left<Replica>("replica.db")->get("/status/home/1"), nullptr) << "a sync for each measurement";
    ASSERT_TRUE(replica_->apply("s", 3, {{"/processes/web", number("change", 2), 3}}));
    ASSERT_TRUE(flush(*replica_));
    const auto after = left<Replica>("replica.db");
    ASSERT_NE(after->get("/processes/web"), nullptr);
    EXPECT_EQ((*after->get("/processes/web"))["change"], 2);
    EXPECT_NE(after->get("/status/home/1"), nullptr) << "what came before it is there with it";
    EXPECT_EQ(after->position(), (FeedPosition{"s", 3}));
}

TEST_F(PowerTest, WhatWasActedUponIsOnDiskBeforeTheDeed) {
    replica_->reset("s", 1, {{"/processes/web", number("change", 1), 1}});
    ASSERT_TRUE(flush(*replica_));
    // All of it waits for a slow disk: the deed must not get onto the disk with what was set before the
    // change.
    std::promise<void> slow;
    disk_.post([gate = slow.get_future().share()] { gate.wait(); });
    own_->set("/info/home", {{"cpus", 2}});
    ASSERT_TRUE(replica_->apply("s", 2, {{"/processes/web", number("change", 2), 2}}));
    own_->set("/status/home/1", {{"applied", 2}});
    own_->set("/status/home/2", {{"applied", 1}});
    int synced = 0, ahead = 0;
    power_.on_sync([&](const std::string& file) {
        if (file != directory_.path() / "own.db-wal") return;
        ++synced;
        const bool acted = left<OwnState>("own.db")->get("/status/home/1") != nullptr;
        const auto agreed = (*left<Replica>("replica.db")->get("/processes/web"))["change"];
        if (acted && agreed != 2) ++ahead;
    });
    slow.set_value();
    ASSERT_TRUE(flush(*own_));
    power_.on_sync({});
    EXPECT_EQ(synced, 2) << "before the change; after it, both in one";
    EXPECT_EQ(ahead, 0);
    EXPECT_NE(left<OwnState>("own.db")->get("/status/home/2"), nullptr);
}

} // namespace
} // namespace p2prc::state
