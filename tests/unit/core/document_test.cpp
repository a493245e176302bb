#include "core/document.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

TEST(Toml, RemembersPlaces) {
    const auto parsed = parse_toml("name = \"a\"\n\n[run]\ncommand = [\"x\",\n  \"y\"]\n", "f.toml");
    ASSERT_TRUE(parsed);
    const auto locate = parsed->locate();
    EXPECT_EQ(locate("name"), "f.toml:1");
    EXPECT_EQ(locate("run.command"), "f.toml:4");
    EXPECT_EQ(locate("run.command[1]"), "f.toml:5");
    EXPECT_EQ(locate("run.missing"), "f.toml:3");
    EXPECT_EQ(locate("missing"), "");
}

TEST(Toml, BrokenTextNamesTheLine) {
    const auto parsed = parse_toml("name = \"a\"\nport = = 3\n", "f.toml");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidSpec);
    EXPECT_EQ(parsed.error().message.find("f.toml:2: not TOML"), 0U) << parsed.error().message;
}

TEST(Toml, ItsErrorsAreOneLine) {
    for (const char* text :
         {"name = \"a\nb\"\n", "name = \"\"\"a\n", "a = 1\na = 2\n", "a = [1,\n2\n", "a\n= 1"}) {
        const auto parsed = parse_toml(text, "f.toml");
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().message.find_first_of("\n\r\t"), std::string::npos)
            << parsed.error().message;
    }
}

std::string repeated(std::string_view text, std::size_t times) {
    std::string all;
    for (std::size_t i = 0; i < times; ++i)
        all += text;
    return all;
}

// The parser and the end of its document call themselves for each level.
TEST(Toml, WhatIsNestedTooDeepIsRefused) {
    const auto many = repeated("a.", 50'000) + "a";
    for (const auto& text : {
             many + " = 1",
             "[" + many + "]",
             "[[" + many + "]]",
             "x = { " + many + " = 1 }",
             "x = \"\"\" \\\"\"\"\"\"\ny = '\\'\n" + many + " = 1",
             "# x\n" + repeated("'a' . ", 50'000) + "a = 1",
             "x = " + repeated("[", 50'000) + repeated("]", 50'000),
             "x = " + repeated("{ a.a.a.a = ", 5'000) + "1" + repeated("}", 5'000),
             repeated("a.", 32) + "a = 1",
         }) {
        const auto parsed = parse_toml("name = 'a'\n" + text + "\n", "f.toml");
        ASSERT_FALSE(parsed) << text.substr(0, 40);
        EXPECT_TRUE(parsed.error().message.ends_with(": nested in more than 32 levels"))
            << text.substr(0, 40) << ": " << parsed.error().message;
    }
    EXPECT_EQ(parse_toml("a = 1\n" + many + " = 1", "f.toml").error().message,
              "f.toml:2: nested in more than 32 levels");
}

TEST(Toml, DotsAndBracketsInTextAreNoLevels) {
    const auto many = repeated("a.[{", 1000);
    for (const auto& text : {
             "x = '" + many + "'",
             "x = \"\\\"" + many + "\"",
             "x = \"\"\"\n" + many + "\"\"" + many + "\"\"\"\"\"",
             "x = '''\n" + many + "''" + many + "'''''",
             "# " + many,
             "x = [" + repeated("1.5, ", 1000) + "]",
             "x = [" + repeated("{ a.b = 1 }, ", 1000) + "]",
             repeated("[[x.y]]\nz.z = 1\n", 1000),
             std::string("x = ''\ny = \"\""),
             repeated("a.", 31) + "a = 1",
         }) {
        const auto parsed = parse_toml(text + "\nlast.key = 1 # '\n", "f.toml");
        EXPECT_TRUE(parsed) << text.substr(0, 40) << ": " << parsed.error().message;
    }
}

TEST(Toml, DatesAreRefused) {
    const auto parsed = parse_toml("[a]\nwhen = 2026-01-01\n", "f.toml");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().message.find("f.toml:2: a.when:"), 0U) << parsed.error().message;
}

TEST(CheckType, NamesTheMemberThatIsNoString) {
    const auto parsed =
        parse_toml("[run]\ncommand = [\"x\",\n  5]\nenvironment = { A = \"a\", B = true }\n", "f.toml");
    ASSERT_TRUE(parsed);
    const auto& run = parsed->document["run"];
    const auto message = [&](const char* key, FieldType type) {
        const auto checked = check_type(run[key], type, std::string("run.") + key, parsed->locate());
        return checked ? "" : checked.error().message;
    };
    EXPECT_EQ(message("command", FieldType::Command),
              "f.toml:3: run.command[1]: must be a string, not a whole number");
    EXPECT_EQ(message("environment", FieldType::StringMap),
              "f.toml:4: run.environment.B: must be a string, not true or false");
}

} // namespace
} // namespace p2prc
