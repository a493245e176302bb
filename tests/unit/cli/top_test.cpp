#include "cli/output.h"
#include "cli/top.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

Json row(unsigned id, const std::string& name) {
    return {{"id", id},
            {"name", name},
            {"node", "attic"},
            {"state", "running"},
            {"restarts", 0U},
            {"invocation", "a"},
            {"measured_usec", 1'000'000U},
            {"memory_bytes", 1U << 20U},
            {"cpu_usec", 500'000U},
            {"io_read_bytes", 1000U},
            {"io_written_bytes", 0U},
            {"tasks", 3U},
            {"connections", 2U},
            {"received_bytes", 100U},
            {"sent_bytes", 5000U}};
}

Json taken(TopRates& rates, Json one) {
    return rates.take(Json::array({std::move(one)})).at(0);
}

TEST(TopRatesTest, TheFirstMeasurementHasNone) {
    TopRates rates;
    const auto first = taken(rates, row(1, "web"));
    EXPECT_TRUE(first.at("cpu_percent").is_null());
    EXPECT_TRUE(first.at("sent_bytes_per_second").is_null());
    EXPECT_DOUBLE_EQ(first.at("cpu_seconds").get<double>(), 0.5);
    EXPECT_EQ(first.at("sent_bytes"), 5000);
    EXPECT_TRUE(first.at("reason").is_null()) << "every key is there";
    EXPECT_FALSE(first.contains("cpu_usec"));
    EXPECT_FALSE(first.contains("measured_usec"));
}

TEST(TopRatesTest, DifferencesByTheClockOfTheNode) {
    TopRates rates;
    (void)taken(rates, row(1, "web"));
    auto now = row(1, "web");
    now["measured_usec"] = 3'000'000U;
    now["cpu_usec"] = 3'500'000U;
    now["io_read_bytes"] = 3000U;
    now["sent_bytes"] = 25000U;
    const auto second = taken(rates, now);
    EXPECT_DOUBLE_EQ(second.at("cpu_percent").get<double>(), 150);
    EXPECT_EQ(second.at("io_read_bytes_per_second"), 1000);
    EXPECT_EQ(second.at("io_written_bytes_per_second"), 0);
    EXPECT_EQ(second.at("received_bytes_per_second"), 0);
    EXPECT_EQ(second.at("sent_bytes_per_second"), 10000);
    // The root passed the same measurement on again.
    EXPECT_EQ(taken(rates, now), second);
}

TEST(TopRatesTest, CountersThatBeganAnewAreNoRates) {
    TopRates rates;
    (void)taken(rates, row(1, "web"));
    auto restarted = row(1, "web");
    restarted["measured_usec"] = 2'000'000U;
    restarted["invocation"] = "b";
    restarted["cpu_usec"] = 900'000U; // more than before, and of another run
    restarted["sent_bytes"] = 6000U;  // the connector is the same
    const auto after = taken(rates, restarted);
    EXPECT_TRUE(after.at("cpu_percent").is_null());
    EXPECT_TRUE(after.at("io_read_bytes_per_second").is_null());
    EXPECT_EQ(after.at("sent_bytes_per_second"), 1000);
    auto other_connector = restarted;
    other_connector["measured_usec"] = 3'000'000U;
    other_connector["sent_bytes"] = 1U;
    EXPECT_TRUE(taken(rates, other_connector).at("sent_bytes_per_second").is_null());
    // After a reboot of its node, the clock began anew, too.
    auto rebooted = other_connector;
    rebooted["measured_usec"] = 1000U;
    EXPECT_TRUE(taken(rates, rebooted).at("cpu_percent").is_null());
}

TEST(TopRatesTest, WhatIsNotMeasuredIsNull) {
    TopRates rates;
    for (int i = 0; i < 2; ++i) {
        const auto taken_row =
            taken(rates, {{"id", 4U}, {"name", "old"}, {"node", "cellar"}, {"state", "lost"}});
        EXPECT_TRUE(taken_row.at("memory_bytes").is_null());
        EXPECT_TRUE(taken_row.at("cpu_percent").is_null());
        EXPECT_TRUE(taken_row.at("tasks").is_null());
    }
}

Json rates_of(const std::string& name, Json cpu, unsigned sent) {
    auto one = row(1, name);
    one["cpu_percent"] = std::move(cpu);
    one["io_read_bytes_per_second"] = nullptr;
    one["io_written_bytes_per_second"] = nullptr;
    one["received_bytes_per_second"] = 0U;
    one["sent_bytes_per_second"] = sent;
    one["reason"] = nullptr;
    return one;
}

TEST(TopLinesTest, SortedByWhatWasAsked) {
    Json rows = {rates_of("b", nullptr, 9), rates_of("c", 0.0, 1), rates_of("a", 0.0, 2),
                 rates_of("d", 80.5, 0)};
    const auto names = [&rows] {
        std::string text;
        for (const auto& one : rows)
            text += one.at("name").get<std::string>();
        return text;
    };
    sort_top(rows, TopSort::Cpu);
    EXPECT_EQ(names(), "dacb");
    sort_top(rows, top_sort_from_name("bytes"));
    EXPECT_EQ(names(), "bacd");
    sort_top(rows, TopSort::Io);
    EXPECT_EQ(names(), "abcd");
}

TEST(TopLinesTest, OneScreen) {
    const auto lines = top_lines(Json::array({rates_of("web", 12.5, 2048)}),
                                 {.title = "p2prc top", .columns = 120, .lines = 24});
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[0], "p2prc top: 1 process on 1 node, 1 running");
    EXPECT_EQ(lines[1], "cpu 12.5%  memory 1.0M  io -/s  connections 2  in 0B/s  out 2.0K/s");
    EXPECT_EQ(lines[2], "");
    EXPECT_EQ(lines[3], "NAME  NODE   STATE    CPU%  MEMORY  IO/s  TASKS  CONN  IN/s  OUT/s");
    EXPECT_EQ(lines[4], "web   attic  running  12.5    1.0M     -      3     2    0B   2.0K");
}

TEST(TopLinesTest, SaysWhyAProcessDoesNotRun) {
    auto failed = rates_of("web", nullptr, 0);
    failed["state"] = "failed";
    failed["reason"] = {{"kind", "exit-code"}, {"code", 3}};
    auto waits = rates_of("slow", nullptr, 0);
    waits["state"] = "starting";
    waits["waits_for"] = "nobody listens at port 80";
    auto restarted = rates_of("shaky", 1.0, 0);
    restarted["restarts"] = 2U;
    restarted["reason"] = {{"kind", "oom-kill"}};
    const auto lines = top_lines({failed, waits, restarted}, {.columns = 200});
    EXPECT_NE(lines[4].find("exit-code 3"), std::string::npos) << lines[4];
    EXPECT_NE(lines[5].find("nobody listens at port 80"), std::string::npos) << lines[5];
    EXPECT_NE(lines[6].find("restarted 2x: oom-kill"), std::string::npos) << lines[6];
}

TEST(TopLinesTest, SaysWhichNodesDoNotAnswer) {
    auto silent = rates_of("web", nullptr, 0);
    silent["invocation"] = nullptr;
    EXPECT_EQ(top_lines(Json::array({silent}), {})[2], "not measured now: what runs on attic");
    EXPECT_EQ(top_lines(Json::array({silent}), {.trouble = "p2prcd is not running"})[2],
              "p2prcd is not running");
}

TEST(TopLinesTest, FitsAnyTerminal) {
    Json rows = Json::array();
    for (int i = 0; i < 50; ++i) {
        rows.push_back(rates_of("process-" + std::to_string(i), 1.5, 100));
        rows.back()["state"] = "failed";
        rows.back()["reason"] = {{"kind", "exit-code"}, {"code", 3}, {"detail", std::string(500, 'x')}};
    }
    for (const std::size_t columns : {1, 5, 20, 40, 80, 132, 400})
        for (const std::size_t height : {1, 2, 4, 5, 6, 24, 100}) {
            const auto lines = top_lines(rows, {.title = "p2prc top", .columns = columns, .lines = height});
            EXPECT_LE(lines.size(), height);
            for (const auto& line : lines)
                EXPECT_LE(text_width(line), columns) << line;
        }
    EXPECT_EQ(top_lines(rows, {.columns = 80, .lines = 24}).back(), "... and 31 more");
    EXPECT_EQ(top_lines(rows, {.columns = 80, .lines = 100}).size(), 54U);
    // What is most asked for stays.
    const auto narrow = top_lines(rows, {.columns = 40, .lines = 24})[3];
    EXPECT_NE(narrow.find("NAME"), std::string::npos);
    EXPECT_NE(narrow.find("CPU%"), std::string::npos);
    EXPECT_EQ(narrow.find("TASKS"), std::string::npos);
}

// What another node says must not reach the terminal as orders.
TEST(TopLinesTest, NothingMovesTheCursor) {
    const std::string hostile = "x\x1b[2J\x1b]52;c;aGk=\x07\r\nroot";
    auto one = rates_of(hostile, 1.0, 0);
    for (const char* key : {"node", "state", "waits_for", "invocation"})
        one[key] = hostile;
    one["reason"] = {{"kind", hostile}, {"detail", hostile}};
    for (const auto& line : top_lines(Json::array({one}), {.title = "t", .trouble = hostile, .columns = 400}))
        EXPECT_EQ(line.find_first_of("\x1b\x07\r\n"), std::string::npos) << line;
}

TEST(TopLinesTest, CharactersAreNotCutInTwo) {
    EXPECT_EQ(first_columns("küche", 2), "kü");
    EXPECT_EQ(first_columns("küche", 1), "k");
    EXPECT_EQ(first_columns("küche", 0), "");
    EXPECT_EQ(first_columns("küche", 9), "küche");
    EXPECT_EQ(first_columns("\xbc\xbd", 0), "\xbc\xbd") << "the rest of a character takes no column";
}

} // namespace
} // namespace p2prc::cli
