#include "cli/output.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

TEST(Table, PadsAllColumnsButTheLast) {
    EXPECT_EQ(render({.header = {"A", "B"}, .rows = {{"long", "x"}, {"ü", "yy"}}}),
              "A     B\nlong  x\nü     yy\n");
}

TEST(Table, KeepsTheLinesOfTheLastColumnInIt) {
    EXPECT_EQ(render({.header = {"KEY", "VALUE"}, .rows = {{"command", "a \\\n  b\n"}, {"port", "1"}}}),
              "KEY      VALUE\ncommand  a \\\n           b\nport     1\n");
}

TEST(Cell, ShowsWhatIsMissingAsADash) {
    const Json row = {{"none", nullptr}, {"empty", ""}, {"yes", true},        {"number", 3},
                      {"half", 0.5},     {"text", "a"}, {"list", {"a", "b"}}, {"nothing", Json::array()}};
    EXPECT_EQ(cell(row, "none"), "-");
    EXPECT_EQ(cell(row, "missing"), "-");
    EXPECT_EQ(cell(row, "empty"), "-");
    EXPECT_EQ(cell(row, "nothing"), "-");
    EXPECT_EQ(cell(row, "yes"), "yes");
    EXPECT_EQ(cell(row, "number"), "3");
    EXPECT_EQ(cell(row, "half"), "0.5");
    EXPECT_EQ(cell(row, "text"), "a");
    EXPECT_EQ(cell(row, "list"), "a,b");
    EXPECT_EQ(cell(Json::array(), "text"), "-");
}

TEST(CellBytes, UsesPowersOf1024) {
    EXPECT_EQ(cell_bytes({{"m", 1023}}, "m"), "1023B");
    EXPECT_EQ(cell_bytes({{"m", 1536}}, "m"), "1.5K");
    EXPECT_EQ(cell_bytes({{"m", 512ULL << 20}}, "m"), "512.0M");
    EXPECT_EQ(cell_bytes({{"m", nullptr}}, "m"), "-");
}

} // namespace
} // namespace p2prc::cli
