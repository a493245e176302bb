// Leases on a clock that the test turns.
#include "tests/unit/store/helpers.h"

namespace p2prc::store::test {
namespace {

using namespace std::chrono_literals;

class LeaseTest : public testing::Test {
  protected:
    LeaseTest() { open(); }
    void open() {
        auto with_clock = options(directory_.file());
        with_clock.clock = [this] { return now_; };
        store_ = std::move(*open_sqlite(with_clock));
    }

    Directory directory_;
    std::chrono::nanoseconds now_ = 100s;
    std::unique_ptr<Store> store_;
};

TEST_F(LeaseTest, KeysGoWithTheirLeaseInOneTransaction) {
    const auto lease = *store_->lease_grant(10s);
    write(*store_, {put("main", "/a", "1", lease), put("main", "/b", "1", lease), put("main", "/c", "1")});
    std::vector<Commit> seen;
    ASSERT_TRUE(store_->watch("main", "", 2, [&](const Commit& commit) { seen.push_back(commit); }));
    now_ += 9s;
    EXPECT_TRUE(store_->lease_expire()->empty());
    now_ += 1s;
    EXPECT_EQ(*store_->lease_expire(), std::vector<std::uint64_t>{lease});
    EXPECT_EQ(seen, (std::vector<Commit>{{2, {{"/a", std::nullopt, 0}, {"/b", std::nullopt, 1}}}}));
    EXPECT_EQ(value_of(*store_, "/c"), "1");
    EXPECT_TRUE(store_->lease_expire()->empty());
    EXPECT_EQ(store_->lease_keepalive(lease).error().code, ErrorCode::NotFound);
}

TEST_F(LeaseTest, AKeepaliveWritesNothing) {
    const auto lease = *store_->lease_grant(10s);
    write(*store_, {put("main", "/a", "1", lease)});
    for (int i = 0; i < 5; ++i) {
        now_ += 9s;
        ASSERT_TRUE(store_->lease_keepalive(lease));
        EXPECT_TRUE(store_->lease_expire()->empty());
    }
    EXPECT_EQ(store_->revision(), 1u);
}

TEST_F(LeaseTest, AfterReopeningItHasItsWholeTimeAgain) {
    const auto lease = *store_->lease_grant(10s);
    write(*store_, {put("main", "/a", "1", lease)});
    now_ += 100s;
    store_.reset();
    open();
    EXPECT_TRUE(store_->lease_expire()->empty());
    now_ += 10s;
    EXPECT_EQ(store_->lease_expire()->size(), 1u);
    EXPECT_EQ(value_of(*store_, "/a"), "(missing)");
}

TEST_F(LeaseTest, RevokingAndDetaching) {
    const auto lease = *store_->lease_grant(10s);
    write(*store_, {put("main", "/a", "1", lease), put("main", "/b", "1", lease)});
    write(*store_, {put("main", "/b", "2")});
    ASSERT_TRUE(store_->lease_revoke(lease));
    EXPECT_EQ(value_of(*store_, "/a"), "(missing)");
    EXPECT_EQ(value_of(*store_, "/b"), "2");
    EXPECT_EQ(store_->lease_revoke(lease).error().code, ErrorCode::NotFound);
}

TEST_F(LeaseTest, AnUnknownLeaseIsRefusedAndLeaseIdsAreNotUsedAgain) {
    EXPECT_EQ(store_->txn({{}, {put("main", "/a", "1", 77)}, {}}).error().code, ErrorCode::NotFound);
    const auto first = *store_->lease_grant(1s);
    ASSERT_TRUE(store_->lease_revoke(first));
    EXPECT_GT(*store_->lease_grant(1s), first);
}

} // namespace
} // namespace p2prc::store::test
