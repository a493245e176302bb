// What a table with bad parts does to the good ones.
#include "edge/edge.h"
#include "net/identity.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace p2prc;
using namespace p2prc::edge;

namespace {

Route route(std::string domain) {
    Route made;
    made.domain = std::move(domain);
    made.node_key = std::string(64, 'a');
    return made;
}

Config without_files() {
    Config config;
    config.routes_file = "none"; // nothing is kept on disk
    return config;
}

TEST(Apply, WhatCannotBeServedDoesNotKeepTheRestFromBeingApplied) {
    boost::asio::io_context io(1);
    Edge edge(io.get_executor(), without_files());
    RouteTable table;
    table.revision = 5;
    table.routes = {route("app.home.example"), route("not a name"), route("other.home.example")};
    table.zones.push_back({"home.example", {"192.0.2.1"}, "", "", {}});
    table.zones[0].records = {{"_acme-challenge." + std::string(63, 'a') + "." + std::string(63, 'a') + "." +
                                   std::string(63, 'a') + "." + std::string(40, 'b') + ".home.example",
                               "TXT", 30, "\"x\""}};
    table.zones.push_back({"bad..zone", {"192.0.2.1"}, "", "", {}});
    EXPECT_FALSE(Edge::check(table));
    const auto rejected = edge.apply(table);
    EXPECT_EQ(rejected.size(), 3u);
    EXPECT_EQ(edge.routes(), 2u);
    const auto status = edge.status();
    EXPECT_EQ(status["revision"], 5);
    EXPECT_EQ(status["serials"], (nlohmann::json{{"home.example", 5}}));
    EXPECT_EQ(status["rejected"].size(), 3u);
    EXPECT_EQ(status["rejected"][0]["name"], "not a name");
    ASSERT_EQ(edge.published().size(), 2u);

    table.routes.pop_back();
    table.revision = 6;
    edge.apply(table);
    EXPECT_EQ(edge.routes(), 1u) << "what is taken away goes, whatever else the table holds";
    table.routes.erase(table.routes.begin() + 1);
    table.zones.pop_back();
    table.zones[0].records.clear();
    EXPECT_TRUE(edge.apply(table).empty());
    EXPECT_TRUE(Edge::check(table));
    EXPECT_TRUE(edge.status()["rejected"].empty());
}

TEST(Apply, TheReportOfWhatIsLeftOutHasALimit) {
    boost::asio::io_context io(1);
    Edge edge(io.get_executor(), without_files());
    RouteTable table;
    for (int i = 0; i < 1000; ++i)
        table.routes.push_back(route("bad name " + std::string(2000, 'x') + std::to_string(i)));
    EXPECT_EQ(edge.apply(table).size(), 1000u);
    EXPECT_LE(edge.status()["rejected"].size(), 50u);
    EXPECT_LE(edge.status().dump().size(), 32u * 1024);
}

} // namespace
