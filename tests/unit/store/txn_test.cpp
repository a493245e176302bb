// Transactions, ranges and revisions.
#include "tests/unit/store/helpers.h"

#include <gmock/gmock.h>

namespace p2prc::store::test {
namespace {

class TxnTest : public testing::Test {
  protected:
    Directory directory_;
    std::unique_ptr<Store> store_ = open_store(directory_.file());
};

TEST_F(TxnTest, WritesAreOneRevisionWithASubIndex) {
    EXPECT_EQ(store_->revision(), 0u);
    EXPECT_EQ(write(*store_, {put("main", "/b", "1"), put("main", "/a", "2")}), 1u);
    const auto range = store_->range("main", "/");
    ASSERT_TRUE(range);
    EXPECT_EQ(range->revision, 1u);
    ASSERT_EQ(range->items.size(), 2u);
    EXPECT_EQ(range->items[0], (Item{"/a", "2", 1, 1, 1, 0}));
    EXPECT_EQ(range->items[1], (Item{"/b", "1", 1, 0, 1, 0}));
}

TEST_F(TxnTest, OverwritingKeepsTheRevisionOfCreation) {
    write(*store_, {put("main", "/a", "1")});
    EXPECT_EQ(write(*store_, {put("main", "/a", "2")}), 2u);
    EXPECT_EQ(**store_->get("main", "/a"), (Item{"/a", "2", 2, 0, 1, 0}));
    write(*store_, {erase("main", "/a")});
    write(*store_, {put("main", "/a", "3")});
    EXPECT_EQ((**store_->get("main", "/a")).created, 4u);
}

TEST_F(TxnTest, AFailedComparisonDoesTheOtherBranch) {
    write(*store_, {put("main", "/a", "1")});
    const auto done = store_->txn(
        {{missing("main", "/a")}, {put("main", "/a", "stolen")}, {put("main", "/refused", "yes")}});
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->succeeded);
    EXPECT_EQ(value_of(*store_, "/a"), "1");
    EXPECT_EQ(value_of(*store_, "/refused"), "yes");
}

TEST_F(TxnTest, AFailedComparisonWithoutAnotherBranchChangesNothing) {
    write(*store_, {put("main", "/a", "1")});
    const auto done = store_->txn({{missing("main", "/a")}, {put("main", "/a", "2")}, {}});
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->succeeded);
    EXPECT_EQ(done->revision, 1u);
    EXPECT_EQ(store_->revision(), 1u);
}

TEST_F(TxnTest, EachComparison) {
    write(*store_, {put("main", "/a", "1")});
    write(*store_, {put("main", "/b", "")});
    const auto holds = [&](Compare compare) {
        return store_->txn({{std::move(compare)}, {}, {}})->succeeded;
    };
    EXPECT_TRUE(holds(exists("main", "/a")));
    EXPECT_FALSE(holds(exists("main", "/c")));
    EXPECT_FALSE(holds(exists("quiet", "/a")));
    EXPECT_TRUE(holds(missing("main", "/c")));
    EXPECT_FALSE(holds(missing("main", "/a")));
    EXPECT_TRUE(holds(revision_is("main", "/b", 2)));
    EXPECT_FALSE(holds(revision_is("main", "/b", 1)));
    EXPECT_TRUE(holds(revision_is("main", "/c", 0)));
    EXPECT_TRUE(holds(value_is("main", "/a", "1")));
    EXPECT_TRUE(holds(value_is("main", "/b", "")));
    EXPECT_FALSE(holds(value_is("main", "/c", "")));
}

TEST_F(TxnTest, AllComparisonsMustHold) {
    write(*store_, {put("main", "/a", "1")});
    const auto done =
        store_->txn({{exists("main", "/a"), exists("main", "/b")}, {put("main", "/c", "1")}, {}});
    EXPECT_FALSE(done->succeeded);
    EXPECT_EQ(value_of(*store_, "/c"), "(missing)");
}

TEST_F(TxnTest, DeletingAMissingKeyIsNoChange) {
    write(*store_, {put("main", "/a", "1")});
    EXPECT_EQ(write(*store_, {erase("main", "/x")}), 1u);
    EXPECT_EQ(write(*store_, {erase("main", "/x"), erase("main", "/a")}), 2u);
    EXPECT_TRUE(store_->range("main", "")->items.empty());
}

TEST_F(TxnTest, AKeyIsWrittenOnceInATransaction) {
    const auto done = store_->txn({{}, {put("main", "/a", "1"), erase("main", "/a")}, {}});
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, testing::HasSubstr("'/a' twice"));
    EXPECT_EQ(store_->revision(), 0u);
}

TEST_F(TxnTest, ARefusedTransactionLeavesNothing) {
    const auto done = store_->txn({{}, {put("main", "/a", "1"), put("nowhere", "/b", "1")}, {}});
    ASSERT_FALSE(done);
    EXPECT_EQ(value_of(*store_, "/a"), "(missing)");
    EXPECT_EQ(write(*store_, {put("main", "/c", "1")}), 1u);
}

TEST_F(TxnTest, TablesAreApartButShareTheTransaction) {
    EXPECT_EQ(write(*store_, {put("main", "/a", "1"), put("quiet", "/a", "2")}), 1u);
    EXPECT_EQ(value_of(*store_, "/a", "main"), "1");
    EXPECT_EQ(value_of(*store_, "/a", "quiet"), "2");
    EXPECT_EQ(store_->range("main", "")->items.size(), 1u);
}

TEST_F(TxnTest, BytesAreOpaque) {
    const std::string odd("\0\xff'\"\n\0", 6);
    write(*store_, {put("main", odd, odd), put("main", "\xff\xff", "high"), put("main", "", "no name")});
    EXPECT_EQ(value_of(*store_, odd), odd);
    EXPECT_EQ(store_->range("main", "\xff")->items.size(), 1u);
    EXPECT_EQ(store_->range("main", "")->items.size(), 3u);
    EXPECT_EQ(store_->range("main", std::string("\0", 1))->items.size(), 1u);
}

TEST_F(TxnTest, RangeIsByPrefixInOrder) {
    write(*store_,
          {put("main", "/a/2", ""), put("main", "/a/10", ""), put("main", "/ab", ""), put("main", "/b", "")});
    const auto range = store_->range("main", "/a/");
    ASSERT_EQ(range->items.size(), 2u);
    EXPECT_EQ(range->items[0].key, "/a/10");
    EXPECT_EQ(range->items[1].key, "/a/2");
}

TEST_F(TxnTest, EverythingIsThereAfterReopening) {
    write(*store_, {put("main", "/a", "1"), put("quiet", "/q", "2")});
    const auto id = store_->store_id();
    store_.reset();
    store_ = open_store(directory_.file());
    EXPECT_EQ(store_->store_id(), id);
    EXPECT_EQ(store_->revision(), 1u);
    EXPECT_EQ(value_of(*store_, "/a"), "1");
    EXPECT_EQ(value_of(*store_, "/q", "quiet"), "2");
    EXPECT_EQ(write(*store_, {put("main", "/a", "2")}), 2u);
}

} // namespace
} // namespace p2prc::store::test
