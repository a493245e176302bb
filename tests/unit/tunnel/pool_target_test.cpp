#include "tunnel/pool_target.h"

#include <gtest/gtest.h>

using p2prc::tunnel::PoolTarget;

namespace {

TEST(PoolTarget, GrowsWhenThePoolRunsShort) {
    PoolTarget pool;
    EXPECT_FALSE(pool.taken(3, 0));
    EXPECT_TRUE(pool.taken(1, 0));
    EXPECT_EQ(pool.target(), 2 * PoolTarget::least);
    EXPECT_FALSE(pool.taken(0, 0)) << "the connector has had no time to answer the last rise";
    pool.arrived(PoolTarget::least + 1);
    EXPECT_TRUE(pool.taken(0, 0));
    EXPECT_EQ(pool.target(), 4 * PoolTarget::least);
}

TEST(PoolTarget, GrowsAtOnceForThoseWhoWait) {
    PoolTarget pool;
    EXPECT_TRUE(pool.taken(0, 100));
    EXPECT_EQ(pool.target(), 200u);
    EXPECT_TRUE(pool.taken(0, 100000));
    EXPECT_EQ(pool.target(), PoolTarget::most);
    EXPECT_FALSE(pool.taken(0, 200000));
}

TEST(PoolTarget, ShrinksWhenHalfLieAbout) {
    PoolTarget pool;
    ASSERT_TRUE(pool.taken(0, 32));
    EXPECT_FALSE(pool.settle(64)) << "it was empty in this period";
    EXPECT_TRUE(pool.settle(64));
    EXPECT_EQ(pool.target(), 32u);
    pool.taken(20, 0);
    EXPECT_TRUE(pool.settle(32));
    pool.taken(3, 0);
    EXPECT_FALSE(pool.settle(16));
    for (int i = 0; i < 10; ++i)
        pool.settle(pool.target());
    EXPECT_EQ(pool.target(), PoolTarget::least);
}

} // namespace
