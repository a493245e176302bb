#include "core/counted.h"
#include "core/text.h"

#include <gtest/gtest.h>

namespace p2prc::text {
namespace {

TEST(TextTest, FitsTheBusAsSdBusJudges) {
    for (const std::string_view good :
         {"", "plain\ttext\n", "Ger\xC3\xA4t", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEF\xBF\xBD"})
        EXPECT_TRUE(fits_bus(good)) << good;
    using namespace std::string_view_literals;
    for (const std::string_view bad : {
             "a\0b"sv,             // NUL
             "Ger\xE4t"sv,         // Latin-1
             "\xC3"sv,             // cut character
             "\xC0\x80"sv,         // overlong
             "\xE0\x80\x80"sv,     // overlong
             "\xED\xA0\x80"sv,     // surrogate
             "\xF4\x90\x80\x80"sv, // beyond U+10FFFF
             "\xEF\xB7\x90"sv,     // U+FDD0
             "\xEF\xB7\xAF"sv,     // U+FDEF
             "\xEF\xBF\xBE"sv,     // U+FFFE
             "\xEF\xBF\xBF"sv,     // U+FFFF
             "\xF0\x9F\xBF\xBF"sv, // U+1FFFF
         })
        EXPECT_FALSE(fits_bus(bad)) << testing::PrintToString(bad);
}

TEST(TextTest, ForBusReplacesWhatDoesNotFitAndNothingElse) {
    using namespace std::string_view_literals;
    EXPECT_EQ(for_bus("Ger\xE4t fehlt"), "Ger\xEF\xBF\xBDt fehlt");
    EXPECT_EQ(for_bus("GET /\xEF\xBF\xBF"), "GET /\xEF\xBF\xBD");
    EXPECT_EQ(for_bus("a\0b"sv), "a\xEF\xBF\xBD"
                                 "b");
    EXPECT_EQ(for_bus("\x1b[2J \xC3\xA4"), "\x1b[2J \xC3\xA4");
    for (int lead = 0; lead < 256; ++lead)
        for (int next = 0; next < 256; ++next) {
            const std::string pair{static_cast<char>(lead), static_cast<char>(next)};
            EXPECT_TRUE(fits_bus(for_bus(pair)));
        }
}

TEST(TextTest, NothingThatATerminalWouldActUponIsLeft) {
    EXPECT_EQ(for_terminal("a\x1b[2Jb\x07"), "a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD");
    EXPECT_EQ(for_terminal("\xC2\x9B"), "\xEF\xBF\xBD"); // CSI of C1
    EXPECT_EQ(for_terminal("\xE2\x80\xAE"
                           "abc"),
              "\xEF\xBF\xBD"
              "abc"); // right-to-left override
    EXPECT_EQ(for_terminal("a\tb\nc"), "a\tb\xEF\xBF\xBD"
                                       "c");
    EXPECT_EQ(for_terminal("a\tb\nc", Lines::Keep), "a\tb\nc");
    EXPECT_FALSE(has_controls("Ger\xC3\xA4t \xE2\x82\xAC"));
    for (const std::string_view text :
         {"\n", "\t", "\r", "\x1b", "\x7f", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xAE"})
        EXPECT_TRUE(has_controls(text)) << testing::PrintToString(text);
}

TEST(Counted, OneIsSingular) {
    EXPECT_EQ(counted(0, "task", "tasks"), "0 tasks");
    EXPECT_EQ(counted(1, "task", "tasks"), "1 task");
    EXPECT_EQ(counted(2, "task is", "tasks are"), "2 tasks are");
}

TEST(TextTest, CutsBetweenCharacters) {
    EXPECT_EQ(cut("abc", 3), "abc");
    EXPECT_EQ(cut("abc", 2), "ab");
    EXPECT_EQ(cut("x\xC3\xA4y", 2), "x");
    EXPECT_EQ(cut("x\xC3\xA4y", 3), "x\xC3\xA4");
    EXPECT_EQ(cut("\xF0\x9F\x98\x80", 3), "");
    EXPECT_EQ(cut("\xF0\x9F\x98\x80", 0), "");
    EXPECT_EQ(excerpt("abcdef", 3), "abc...");
    EXPECT_EQ(excerpt("ab\x1b", 3), "ab\xEF\xBF\xBD");
}

} // namespace
} // namespace p2prc::text
