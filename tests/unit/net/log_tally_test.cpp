#include "net/log_tally.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

using namespace std::chrono_literals;

TEST(LogTally, OneLineAMinuteWithTheNumber) {
    LogTally tally("handshakes that failed");
    EXPECT_EQ(tally.line("from a", 10s),
              "handshakes that failed: 1 since the last such line, the latest from a");
    for (int i = 0; i < 58; ++i)
        EXPECT_FALSE(tally.line("from b", 11s + std::chrono::seconds(i)));
    EXPECT_EQ(tally.line("from c", 70s),
              "handshakes that failed: 59 since the last such line, the latest from c");
    EXPECT_FALSE(tally.line("from c", 71s));
}

} // namespace
} // namespace p2prc::net
