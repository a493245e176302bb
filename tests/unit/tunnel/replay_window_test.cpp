#include "tunnel/replay_window.h"

#include <gtest/gtest.h>

#include <set>

using p2prc::tunnel::ReplayWindow;

namespace {

TEST(ReplayWindow, TakesEachCounterOnce) {
    ReplayWindow window;
    for (const std::uint64_t counter : {0, 1, 5, 3, 63, 64, 65}) {
        EXPECT_TRUE(window.use(counter)) << counter;
        EXPECT_FALSE(window.use(counter)) << counter;
    }
    EXPECT_TRUE(window.use(2));
    EXPECT_TRUE(window.use(62));
}

TEST(ReplayWindow, RefusesWhatIsFarBehind) {
    ReplayWindow window;
    ASSERT_TRUE(window.use(ReplayWindow::width * 3));
    EXPECT_TRUE(window.use(ReplayWindow::width * 2 + 1));
    EXPECT_FALSE(window.use(ReplayWindow::width * 2));
    EXPECT_FALSE(window.use(7));
}

TEST(ReplayWindow, HoldsAtTheEndOfTheNumbers) {
    ReplayWindow window;
    EXPECT_TRUE(window.use(UINT64_MAX));
    EXPECT_FALSE(window.use(UINT64_MAX));
    EXPECT_TRUE(window.use(UINT64_MAX - 1));
    EXPECT_FALSE(window.use(0));
}

TEST(ReplayWindow, AgreesWithASetOnAWalkWithJumps) {
    ReplayWindow window;
    std::set<std::uint64_t> used;
    std::uint64_t newest = 0;
    std::uint64_t random = 88172645463325252u;
    for (int i = 0; i < 200000; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const std::uint64_t back = random % (ReplayWindow::width + 100);
        std::uint64_t counter = newest + random / 7 % 40;
        if (random % 3 == 0) counter = newest > back ? newest - back : 0;
        if (random % 1000 == 1) counter = newest + random % (3 * ReplayWindow::width);
        const bool fresh =
            (counter > newest || newest - counter < ReplayWindow::width) && !used.contains(counter);
        ASSERT_EQ(window.use(counter), fresh) << counter << " with newest " << newest;
        if (fresh) used.insert(counter);
        newest = std::max(newest, counter);
    }
}

} // namespace
