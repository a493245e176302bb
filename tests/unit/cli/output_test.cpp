#include "cli/log_line.h"
#include "cli/output.h"
#include "core/duration.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

TEST(Table, PadsAllColumnsButTheLast) {
    EXPECT_EQ(render({.header = {"A", "B"}, .rows = {{"long", "x"}, {"ü", "yy"}}}),
              "A     B\nlong  x\nü     yy\n");
}

TEST(Table, KeepsTheLinesOfTheLastColumnInIt) {
    EXPECT_EQ(render({.header = {"A", "LONG"}, .rows = {{"x", ""}, {"y", "z"}}}), "A  LONG\nx\ny  z\n");
    EXPECT_EQ(render({.header = {"KEY", "VALUE"},
                      .rows = {{"command", "a \\\n  b\n"}, {"port", "1"}},
                      .last_has_lines = true}),
              "KEY      VALUE\ncommand  a \\\n           b\nport     1\n");
}

// What a node, an application or a log says must not reach the terminal as orders.
TEST(Table, NoCellMovesACursorOrBeginsARow) {
    const std::string hostile = "\x1b[2J\x1b]52;c;aGk=\x07\xc2\x9b"
                                "1A\r\nroot  up";
    for (const bool lines : {false, true}) {
        const auto text =
            render({.header = {"A", "B"}, .rows = {{hostile, hostile}}, .last_has_lines = lines});
        for (const char* control : {"\x1b", "\x07", "\xc2\x9b", "\r"})
            EXPECT_EQ(text.find(control), std::string::npos) << text;
        EXPECT_EQ(std::ranges::count(text, '\n'), lines ? 3 : 2);
        EXPECT_EQ(text.find("\nroot"), std::string::npos) << "lines of a cell are indented";
    }
    const Json row = {{"text", hostile}, {"list", {hostile}}, {"table", {{"a", hostile}}}};
    for (const char* key : {"text", "list", "table"}) {
        EXPECT_EQ(cell(row, key).find_first_of("\x1b\x07\r\n\x9b"), std::string::npos) << key;
        EXPECT_EQ(cell_lines(row, key).find_first_of("\x1b\x07\r\x9b"), std::string::npos) << key;
    }
}

TEST(Printing, ALineIsOne) {
    testing::internal::CaptureStdout();
    print_line("home.example\nwrong     do as I say\x1b[2J\r");
    const auto text = testing::internal::GetCapturedStdout();
    EXPECT_EQ(std::ranges::count(text, '\n'), 1);
    EXPECT_EQ(text.find_first_of("\x1b\r"), std::string::npos);
}

TEST(Printing, JsonHasTheKeysOfTheTableAndNoneOfTheBus) {
    const Json process = {{"object", "/org/p2prc1/process/7"},
                          {"name", "wiki"},
                          {"node_object", "/org/p2prc1/node/home1"},
                          {"since_timestamp", 5},
                          {"later", 1},
                          {"reason", {{"kind", "stopped"}, {"at_timestamp", 5}}}};
    testing::internal::CaptureStdout();
    print(process, process_fields());
    const Json printed = Json::parse(testing::internal::GetCapturedStdout());
    EXPECT_EQ(printed["name"], "wiki");
    EXPECT_EQ(printed["later"], 1);
    EXPECT_TRUE(printed.at("port").is_null());
    EXPECT_TRUE(printed["reason"].at("signal").is_null());
    for (const char* key : {"object", "node_object", "since_timestamp"})
        EXPECT_FALSE(printed.contains(key)) << key;
    EXPECT_FALSE(printed["reason"].contains("at_timestamp"));
}

TEST(Printing, AnErrorOfAnotherMachineIsNoOtherMessage) {
    testing::internal::CaptureStderr();
    report({ErrorCode::Failed, "refused\np2prc: all is well\x1b[2J", "see\nthere"}, false);
    const auto text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.find("\np2prc:"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_NE(text.find("\n  there"), std::string::npos) << text;
}

TEST(JsonText, EscapesWhatTerminalsObey) {
    const Json document = {{"a", "\x1b\x7f\xc2\x9b\u00fc\u20ac"}};
    EXPECT_EQ(json_text(document, -1), "{\"a\":\"\\u001b\\u007f\\u009b\u00fc\u20ac\"}");
    EXPECT_EQ(Json::parse(json_text(document, 2)), document);
}

TEST(Duration, IsANumberWithAUnit) {
    EXPECT_EQ(parse_duration("90s"), 90U);
    EXPECT_EQ(parse_duration("10m"), 600U);
    EXPECT_EQ(parse_duration("7d"), 604800U);
    EXPECT_EQ(duration_text(604800), "7d");
    EXPECT_EQ(duration_text(90), "90s");
    for (const char* wrong : {"", "5", "m", "0s", "-1s", "1.5h", "1h30m", "367d", "99999999999999999999s"})
        EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
}

TEST(LogLines, HaveATimeAndAText) {
    LogLines lines;
    EXPECT_EQ(lines.parse("  lost its beginning").time, "");
    const auto first = lines.parse("2026-01-02T03:04:05+0200 m\u00fcnchen sh[7]: a: b");
    EXPECT_EQ(first.time, "2026-01-02T03:04:05+02:00");
    EXPECT_EQ(first.text, "a: b");
    // Further lines of the entry are indented by the width of its head.
    const auto second = lines.parse(std::string(40, ' ') + "  c");
    EXPECT_EQ(second.time, first.time);
    EXPECT_EQ(second.text, "  c");
    EXPECT_EQ(lines.parse("2026-01-02T03:04:06+0200 m sh[7]: ").text, "");
    EXPECT_EQ(lines.parse("no head").text, "no head");
}

TEST(LogLines, TheLastOneMaySayWhyNoMoreCome) {
    const auto end = end_of_log("p2prc: the log ends here (Unreachable): node 'attic' does not answer");
    ASSERT_TRUE(end);
    EXPECT_EQ(end->code, ErrorCode::Unreachable);
    EXPECT_EQ(end->message, "the log ends here: node 'attic' does not answer");
    EXPECT_FALSE(end->hint.empty());
    EXPECT_FALSE(end_of_log("2026-07-16T10:00:00+0200 attic web[7]: p2prc: the log ends here (Failed): x"));
    EXPECT_FALSE(end_of_log("    p2prc: the log ends here (Failed): x"));
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
