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

class HistorySizeTest : public WatchTest {
  protected:
    HistorySizeTest() { reopen(64 << 10); }
    void reopen(std::uint64_t keep_bytes) {
        store_.reset();
        auto small = options(directory_.file());
        small.keep_bytes = keep_bytes;
        store_ = std::move(*open_sqlite(small));
    }
    void rewrite(const std::string& key, int times = 1) {
        for (int i = 0; i < times; ++i)
            write(*store_, {put("main", key, std::string(1000, static_cast<char>('a' + i % 26)))});
    }
    std::size_t bytes_seen() const {
        std::size_t bytes = 0;
        for (const auto& commit : seen_)
            for (const auto& change : commit.changes)
                bytes += change.key.size() + change.value.value_or("").size();
        return bytes;
    }
};

TEST_F(HistorySizeTest, OneKeyWrittenAgainAndAgainLeavesLittle) {
    for (const std::uint64_t last : {100, 200}) {
        rewrite("/a", 100);
        EXPECT_EQ(watch(last - 20).outcome, WatchOutcome::Compacted);
        EXPECT_EQ(watch(last - 2).outcome, WatchOutcome::Watching);
        EXPECT_EQ(std::exchange(seen_, {}).size(), 3u);
        reopen(64 << 10); // what it counts is known again
    }
    std::uint64_t from = 1;
    while (watch(from).outcome == WatchOutcome::Compacted)
        ++from;
    EXPECT_LE(bytes_seen(), 8u << 10);
    EXPECT_GE(bytes_seen(), 5u << 10);
}

TEST_F(HistorySizeTest, TheOldestGoFirstAndWholeTransactionsAtATime) {
    for (int i = 0; i < 20; ++i)
        write(*store_,
              {put("main", "/a", std::string(1000, 'x')), put("main", "/b", std::string(1000, 'y'))});
    std::uint64_t from = 1;
    while (watch(from).outcome == WatchOutcome::Compacted)
        ++from;
    ASSERT_EQ(seen_.size(), 21 - from);
    for (const auto& commit : seen_) {
        EXPECT_EQ(commit.revision, from++);
        EXPECT_EQ(commit.changes.size(), 2u);
    }
}

TEST_F(HistorySizeTest, AsMuchAsAllItemsIsKept) {
    for (int i = 0; i < 40; ++i)
        rewrite("/" + std::to_string(i));
    EXPECT_EQ(watch(1).outcome, WatchOutcome::Watching);
    EXPECT_EQ(std::exchange(seen_, {}).size(), 40u);
    rewrite("/0");
    EXPECT_EQ(watch(1).outcome, WatchOutcome::Compacted) << "that is more";
    for (int i = 0; i < 40; ++i)
        write(*store_, {erase("main", "/" + std::to_string(i))});
    EXPECT_EQ(watch(30).outcome, WatchOutcome::Compacted) << "hardly anything is left";
    EXPECT_EQ(watch(60).outcome, WatchOutcome::Watching);
}

TEST_F(HistorySizeTest, NotMoreThanTheLimitHoweverManyItems) {
    for (int i = 0; i < 100; ++i)
        rewrite("/" + std::to_string(i));
    EXPECT_EQ(watch(30).outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(60).outcome, WatchOutcome::Watching);
}

TEST_F(HistorySizeTest, ATransactionLargerThanTheLimitLeavesNoPast) {
    std::vector<Operation> large;
    for (int i = 0; i < 100; ++i)
        large.push_back(put("main", "/" + std::to_string(i), std::string(1000, 'x')));
    write(*store_, large);
    EXPECT_EQ(watch(1).outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(2).outcome, WatchOutcome::Watching);
    rewrite("/0");
    EXPECT_EQ(seen_.size(), 1u);
}

TEST_F(HistorySizeTest, WhatWasKeptUnderAnotherLimitIsForgottenWhenItIsOpened) {
    reopen(8 << 20);
    rewrite("/a", 100);
    EXPECT_EQ(watch(1).outcome, WatchOutcome::Watching);
    reopen(64 << 10);
    EXPECT_EQ(watch(80).outcome, WatchOutcome::Compacted);
    EXPECT_EQ(watch(98).outcome, WatchOutcome::Watching);
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
