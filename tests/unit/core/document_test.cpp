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
