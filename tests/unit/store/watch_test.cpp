// Watches: order, history, compaction.
#include "tests/unit/store/helpers.h"

namespace p2prc::store::test {
namespace {

class WatchTest : public testing::Test {
  protected:
    WatchStart watch(std::uint64_t from, const std::string& prefix = "", const std::string& table = "main") {
        auto started =
            store_->watch(table, prefix, from, [this](const Commit& commit) { seen_.push_back(commit); });
        EXPECT_TRUE(started);
        return *started;
    }

    Directory directory_;
    std::unique_ptr<Store> store_ = open_store(directory_.file());
    std::vector<Commit> seen_;
};

TEST_F(WatchTest, DeliversWholeTransactionsInOrder) {
    watch(1);
    write(*store_, {put("main", "/b", "1"), put("main", "/a", "2")});
    write(*store_, {erase("main", "/b")});
    EXPECT_EQ(seen_,
              (std::vector<Commit>{{1, {{"/b", "1", 0}, {"/a", "2", 1}}}, {2, {{"/b", std::nullopt, 0}}}}));
}

TEST_F(WatchTest, PastAndPresentJoinWithoutAGap) {
    write(*store_, {put("main", "/a", "1")});
    write(*store_, {put("main", "/a", "2"), put("main", "/b", "2")});
    EXPECT_EQ(watch(2).outcome, WatchOutcome::Watching);
    write(*store_, {put("main", "/a", "3")});
    EXPECT_EQ(seen_, (std::vector<Commit>{{2, {{"/a", "2", 0}, {"/b", "2", 1}}}, {3, {{"/a", "3", 0}}}}));
}

TEST_F(WatchTest, OnlyItsTableAndPrefix) {
    write(*store_, {put("main", "/x/1", "old"), put("main", "/y", "old")});
    watch(1, "/x/");
    write(*store_, {put("main", "/y", "1"), put("quiet", "/x/1", "1"), put("main", "/x/2", "1")});
    write(*store_, {put("main", "/y", "2")});
    EXPECT_EQ(seen_, (std::vector<Commit>{{1, {{"/x/1", "old", 0}}}, {2, {{"/x/2", "1", 2}}}}));
}

TEST_F(WatchTest, ARangeAndAWatchFromTheNextRevisionMissNothing) {
    write(*store_, {put("main", "/a", "1")});
    const auto range = store_->range("main", "");
    write(*store_, {put("main", "/a", "2")});
    watch(range->revision + 1);
    EXPECT_EQ(seen_, (std::vector<Commit>{{2, {{"/a", "2", 0}}}}));
}

TEST_F(WatchTest, CompactedHistoryIsRefused) {
    for (int i = 0; i < 5; ++i)
        write(*store_, {put("main", "/a", std::to_string(i))});
    ASSERT_TRUE(store_->compact(3));
    EXPECT_EQ(watch(3).outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(4).outcome, WatchOutcome::Watching);
    EXPECT_EQ(seen_.size(), 2u);
    EXPECT_EQ(value_of(*store_, "/a"), "4");
    EXPECT_FALSE(store_->compact(6));
    store_.reset();
    store_ = open_store(directory_.file());
    EXPECT_EQ(watch(3).outcome, WatchOutcome::Compacted);
}

TEST_F(WatchTest, OldHistoryIsForgottenByItself) {
    store_.reset();
    auto few = options(directory_.file());
    few.keep_revisions = 16;
    store_ = std::move(*open_sqlite(few));
    for (int i = 0; i < 100; ++i)
        write(*store_, {put("main", "/a", std::to_string(i))});
    EXPECT_EQ(watch(50).outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(100 - 15).outcome, WatchOutcome::Watching);
    EXPECT_EQ(seen_.size(), 16u);
}

TEST_F(WatchTest, TheFutureIsRefused) {
    write(*store_, {put("main", "/a", "1")});
    EXPECT_EQ(watch(2).outcome, WatchOutcome::Watching);
    EXPECT_EQ(watch(3).outcome, WatchOutcome::Ahead);
}

TEST_F(WatchTest, ATableWithoutHistoryBeginsAtThePresent) {
    write(*store_, {put("quiet", "/a", "1")});
    EXPECT_EQ(watch(1, "", "quiet").outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(2, "", "quiet").outcome, WatchOutcome::Watching);
    write(*store_, {put("quiet", "/a", "2")});
    EXPECT_EQ(seen_.size(), 1u);
}

TEST_F(WatchTest, SilentAfterUnwatch) {
    const auto started = watch(1);
    store_->unwatch(started.id);
    write(*store_, {put("main", "/a", "1")});
    EXPECT_TRUE(seen_.empty());
}

TEST_F(WatchTest, ADeletionInThePastIsDelivered) {
    write(*store_, {put("main", "/a", "1")});
    write(*store_, {erase("main", "/a")});
    watch(1);
    EXPECT_EQ(seen_, (std::vector<Commit>{{1, {{"/a", "1", 0}}}, {2, {{"/a", std::nullopt, 0}}}}));
}

} // namespace
} // namespace p2prc::store::test
