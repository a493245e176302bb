#include "core/process_usage.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

using Json = nlohmann::json;

TEST(ProcessUsageTest, WhatIsNotMeasuredStaysSo) {
    NodeUsage usage;
    usage.measured_usec = 5'000'000'000;
    usage.processes[7] = {.invocation = std::string(32, 'a'), .memory_bytes = 4096, .sent_bytes = 0};
    const auto read = node_usage_from_json(Json::parse(to_json(usage).dump()));
    EXPECT_EQ(read, usage);
    EXPECT_EQ(read.processes.at(7).sent_bytes, 0u);
    EXPECT_FALSE(read.processes.at(7).cpu_usec);
    const auto row = to_json(usage.processes.at(7));
    EXPECT_EQ(row.at("memory_bytes"), 4096);
    EXPECT_TRUE(row.at("tasks").is_null());
}

// From another node.
TEST(ProcessUsageTest, WhateverANodeSaysIsRead) {
    for (const auto& document :
         {Json(nullptr), Json("x"), Json::object(), Json{{"processes", 7}},
          Json{{"measured_usec", -1}, {"processes", {1, "x", nullptr, {{"id", "x"}}, {{"tasks", 3}}}}}})
        EXPECT_EQ(node_usage_from_json(document), NodeUsage()) << document.dump();
    const auto usage = node_usage_from_json({{"measured_usec", 1},
                                             {"processes",
                                              {{{"id", 7},
                                                {"invocation", "\x1b[2J" + std::string(99, 'x')},
                                                {"cpu_usec", -5},
                                                {"tasks", 1.5}}}}});
    const auto& process = usage.processes.at(7);
    EXPECT_LE(process.invocation.size(), 32u);
    EXPECT_EQ(process.invocation.find('\x1b'), std::string::npos);
    EXPECT_FALSE(process.cpu_usec);
    EXPECT_FALSE(process.tasks);
}

} // namespace
} // namespace p2prc
