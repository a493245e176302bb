#include "tunnel/session_frame.h"

#include <gtest/gtest.h>

using namespace p2prc;
using namespace p2prc::tunnel;

namespace {

TEST(SessionFrame, ComesOutWhole) {
    FrameReader reader;
    reader.feed(encode_want(700));
    reader.feed(encode_hello(9));
    const auto want = reader.next();
    ASSERT_TRUE(want && *want);
    EXPECT_EQ((*want)->type, static_cast<std::uint8_t>(FrameType::Want));
    EXPECT_EQ(parse_want((*want)->payload), 700u);
    const auto hello = reader.next();
    ASSERT_TRUE(hello && *hello);
    const auto read = parse_hello((*hello)->payload);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->version, session_version);
    EXPECT_EQ(read->session, 9u);
    const auto none = reader.next();
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
}

TEST(SessionFrame, ComesOutOfSingleBytes) {
    Bytes bytes = encode_frame(FrameType::Ping, as_bytes("abc"));
    const Bytes more = encode_frame(FrameType::Goodbye, {});
    bytes.insert(bytes.end(), more.begin(), more.end());
    FrameReader reader;
    int frames = 0;
    for (const std::uint8_t byte : bytes) {
        reader.feed(ByteView(&byte, 1));
        const auto frame = reader.next();
        ASSERT_TRUE(frame);
        if (*frame) ++frames;
    }
    EXPECT_EQ(frames, 2);
}

TEST(SessionFrame, RefusesOneThatIsTooLong) {
    FrameReader reader;
    reader.feed(Bytes{0xff, 0xff, 1});
    EXPECT_FALSE(reader.next());
}

TEST(SessionFrame, RefusesShortPayloadsAndReadsLongerOnes) {
    EXPECT_FALSE(parse_hello({}));
    EXPECT_FALSE(parse_want(Bytes{0, 0, 1}));
    EXPECT_EQ(parse_want(Bytes{0, 0, 1, 0, 99}), 256u);
    EXPECT_EQ(parse_hello(Bytes{7})->version, 7);
    EXPECT_FALSE(parse_hold(Bytes{0, 0, 0, 5, 0, 0, 1}));
    const auto hold = parse_hold(Bytes{0, 0, 0, 5, 0, 0, 1, 0, 99});
    ASSERT_TRUE(hold);
    EXPECT_EQ(hold->mapping, 5U);
    EXPECT_EQ(hold->time, std::chrono::milliseconds(256));
}

} // namespace
