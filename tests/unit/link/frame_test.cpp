#include "link/frame.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::link {
namespace {

Bytes raw(std::uint32_t size, std::string_view text) {
    Bytes bytes{static_cast<std::uint8_t>(size >> 24), static_cast<std::uint8_t>(size >> 16),
                static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
    bytes.insert(bytes.end(), text.begin(), text.end());
    return bytes;
}

Result<std::optional<Json>> read(const Bytes& bytes) {
    FrameReader reader;
    reader.feed(bytes);
    return reader.next();
}

TEST(Frame, RoundTripsAtEveryCut) {
    const Json first{{"id", 1}, {"method", "ps"}}, second{{"ping", 7}};
    auto bytes = *encode_frame(first);
    const auto more = *encode_frame(second);
    bytes.insert(bytes.end(), more.begin(), more.end());
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        FrameReader reader;
        std::vector<Json> seen;
        for (const auto part : {ByteView(bytes).first(cut), ByteView(bytes).subspan(cut)}) {
            reader.feed(part);
            for (auto next = reader.next(); next && *next; next = reader.next())
                seen.push_back(**next);
        }
        EXPECT_EQ(seen, (std::vector<Json>{first, second})) << cut;
    }
}

TEST(Frame, RefusesWhatIsMalformed) {
    EXPECT_FALSE(read(raw(0, "")));
    EXPECT_FALSE(read(raw(max_frame + 1, "")));
    EXPECT_FALSE(read(raw(0xffffffff, "")));
    EXPECT_FALSE(read(raw(2, "[]")));
    EXPECT_FALSE(read(raw(2, "{x")));
    EXPECT_FALSE(read(raw(4, "null")));
    const auto deep = R"({"a":)" + std::string(2000, '[') + std::string(2000, ']') + "}";
    EXPECT_FALSE(read(raw(static_cast<std::uint32_t>(deep.size()), deep)));
    const auto brackets_in_text = R"({"a":")" + std::string(2000, '[') + "\"}";
    EXPECT_TRUE(read(raw(static_cast<std::uint32_t>(brackets_in_text.size()), brackets_in_text)));
}

TEST(Frame, IncompleteIsNoError) {
    const auto nothing = read(raw(100, "{"));
    ASSERT_TRUE(nothing);
    EXPECT_FALSE(*nothing);
}

TEST(Frame, TooLargeIsRefusedBeforeItIsSent) {
    EXPECT_FALSE(encode_frame({{"text", std::string(max_frame, 'x')}}));
    EXPECT_TRUE(encode_frame({{"text", std::string(max_frame - 100, 'x')}}));
}

TEST(Frame, BrokenTextIsReplaced) {
    const auto document = read(*encode_frame({{"text", "a\xff"}}));
    ASSERT_TRUE(document && *document);
    EXPECT_EQ((**document)["text"], "a\xef\xbf\xbd");
}

} // namespace
} // namespace p2prc::link
