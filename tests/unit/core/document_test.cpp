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
    EXPECT_EQ(parsed.error().message, "f.toml:2:8: expected a value after =");
    EXPECT_EQ(parsed.error().hint, "write KEY = VALUE, such as name = \"calendar\"");
}

struct Mistake {
    const char* text;
    const char* message; // behind the file
    const char* hint;    // a part of it
};

TEST(Toml, AMistakeIsToldInWordsForPeople) {
    for (const auto& [text, message, hint] : {
             Mistake{"name: \"web\"\n", "1:5: expected = after the key", "KEY = VALUE"},
             Mistake{"name \"web\"\n", "1:6: expected = after the key", "KEY = VALUE"},
             Mistake{"name\n", "1:5: expected = after the key", "KEY = VALUE"},
             Mistake{"name", "1:5: expected = and a value after the key", "KEY = VALUE"},
             Mistake{"name =\nport = 3", "1:7: expected a value after =", "KEY = VALUE"},
             Mistake{"name = web\n", "1:8: expected a value, not web", "\"web\""},
             Mistake{"[limits]\nmemory = 512M # much\n", "2:10: expected a value, not 512M", "\"512M\""},
             Mistake{"data = True\n", "1:8: expected a value, not True", "write true"},
             Mistake{"data = no\n", "1:8: expected a value, not no", "write false"},
             Mistake{"port = 08\n", "1:8: expected a value, not 08", "no zeros in front"},
             Mistake{"name = \xe2\x80\x9cweb\xe2\x80\x9d\n",
                     "1:8: expected a value, not \xe2\x80\x9cweb\xe2\x80\x9d", "straight quotes"},
             Mistake{"name = \"web\n", "1:12: expected the end of the string before the end of the line",
                     "close it"},
             Mistake{"name = 'web\r\nport = 1\n", "", "close it"},
             Mistake{"name = \"\"\"web\n", "", "close it"},
             Mistake{"name = \"a\" port = 3\n", "1:12: expected the end of the line", "on each line"},
             Mistake{"name = \"a\"b\"\n", "1:11: expected the end of the line", "double quotes"},
             Mistake{"[run]\ncommand = [\"a\", b]\n", "2:17: expected a value, not b", "\"b\""},
             Mistake{"[run]\ncommand = [\"a\" \"b\"]\n", "2:16: expected a comma or ]", "commas"},
             Mistake{"[run]\ncommand = [\"a\",\n", "", "close the list"},
             Mistake{"[run]\ncommand = [\"a\",, \"b\"]\n", "2:16: expected a value or ], not another comma",
                     "commas"},
             Mistake{"[run]\nenvironment = { A = \"a\", }\n", "", "on one line"},
             Mistake{"[run]\nenvironment = { A = \"a\" B = \"b\" }\n", "", "on one line"},
             Mistake{"[run]\nenvironment = {\n A = \"a\" }\n", "", "on one line"},
             Mistake{"[run\ncommand = []\n", "1:5: expected ] after the table's name", "a key has"},
             Mistake{"[run", "", "write [run]"},
             Mistake{"[]\n", "1:2: expected a table's name", "write [run]"},
             Mistake{"[my run]\n", "1:5: expected ] after the table's name", "double quotes"},
             Mistake{"[run] command = []\n", "1:7: expected the end of the line", "on each line"},
             Mistake{"= 3\n", "1:1: expected a key or a [table]", "a line is KEY = VALUE"},
             Mistake{"a. = 3\n", "1:4: expected a key", "letters, digits"},
             Mistake{"name = \"a\"\nname = \"b\"\n", "", "once"},
             Mistake{"[run]\n[run]\n", "2:1: [run] is there already", "once"},
             Mistake{"run = 1\n[run]\n", "", "once"},
             Mistake{"name = \"C:\\data\"\n", "", "single quotes"},
             Mistake{"name = \"\\u12\"\n", "", "single quotes"},
             Mistake{"name = \"\x01\"\n", "1:9: a control character does not belong here", "plain text"},
             Mistake{"name = \"\xff\"\n", "", "UTF-8"},
             Mistake{"when = 2026-13-45\n", "", ""},
             Mistake{"port = 1_\n", "", ""},
             Mistake{"port = 99999999999999999999\n", "", "number"},
             Mistake{"port = 0x\n", "", ""},
         }) {
        const auto parsed = parse_toml(text, "f.toml");
        ASSERT_FALSE(parsed) << text;
        const auto& error = parsed.error();
        EXPECT_EQ(error.code, ErrorCode::InvalidSpec);
        if (*message != '\0') {
            EXPECT_EQ(error.message, std::string("f.toml:") + message) << text;
        }
        EXPECT_NE(error.hint.find(hint), std::string::npos) << text << error.message << "\n" << error.hint;
        EXPECT_FALSE(error.hint.empty()) << text << error.message;
        // The parser's own words.
        for (const auto* raw : {"Error while", "saw '", "prohibited", "encountered", "determine"})
            EXPECT_EQ(error.message.find(raw), std::string::npos) << error.message;
    }
    const std::string_view binary("\x7f"
                                  "ELF\0\1",
                                  6);
    EXPECT_EQ(parse_toml(binary, "f").error().message, "f:1:1: expected text, and this is a binary file");
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
