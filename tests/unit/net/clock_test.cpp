#include "net/clock.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

TEST(Rfc3339, IsReadAsItIsWritten) {
    const auto time = from_rfc3339("2026-01-02T03:04:05Z");
    ASSERT_TRUE(time);
    EXPECT_EQ(time->time_since_epoch(), std::chrono::seconds(1767323045));
    EXPECT_EQ(to_rfc3339(*time), "2026-01-02T03:04:05Z");
    for (const char* text : {"", "yesterday", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z",
                             "2026-01-02T24:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05Zx"})
        EXPECT_FALSE(from_rfc3339(text)) << text;
}

} // namespace
} // namespace p2prc::net
