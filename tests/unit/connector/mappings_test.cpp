#include "connector/mappings.h"
#include "core/process_spec.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace p2prc;
using namespace p2prc::connector;

namespace {

const std::string key(64, 'a');

TEST(Mappings, AreReadFromAFile) {
    const auto table = mapping_table_from_toml("[[edge]]\naddress = \"203.0.113.1:443\"\nkey = \"" + key +
                                                   "\"\n[[mapping]]\nid = 7\ndomain = \"app.home.example\"\n"
                                                   "port = 8080\ntls = \"passthrough\"\n",
                                               "maps.toml");
    ASSERT_TRUE(table) << table.error().message;
    ASSERT_EQ(table->edges.size(), 1u);
    EXPECT_EQ(table->edges[0].address.text(), "203.0.113.1:443");
    ASSERT_TRUE(table->mappings.contains(7));
    EXPECT_EQ(table->mappings.at(7).port, 8080);
    EXPECT_EQ(table->mappings.at(7).tls, TlsMode::Passthrough);
    EXPECT_EQ(table->acme, "none");
}

TEST(Mappings, OfAFileAreReadStrictly) {
    for (const std::string text : {
             "[[mapping]]\nid = 7\ndomain = \"a.example\"\nport = 8080\ntls = \"passthrouh\"\n",
             "[[mapping]]\nid = 7\ndomain = \"a.example\"\nprot = 8080\ntls = \"node\"\n",
             "[[mapping]]\nid = 0\ndomain = \"a.example\"\nport = 8080\ntls = \"node\"\n",
             "[[mapping]]\nid = 1\ndomain = \"a.example\"\nport = 80800\ntls = \"node\"\n",
             "[[edge]]\naddress = \"somewhere\"\nkey = \"x\"\n",
             "[edge]\n",
             "edges = 1\n",
         }) {
        const auto table = mapping_table_from_toml(text, "maps.toml");
        ASSERT_FALSE(table) << text;
        EXPECT_NE(table.error().message.find("maps.toml:"), std::string::npos) << table.error().message;
    }
}

TEST(Mappings, OfP2prcdAreReadTolerantly) {
    const auto document = nlohmann::json::parse(R"({"acme": "https://ca.example/dir", "later": 1, "edges": [
        {"address": "[2001:db8::1]:443", "key": ")" +
                                                key + R"("}, {"address": "nonsense", "key": "x"}, 5],
        "mappings": [{"id": 3, "domain": "a.example", "port": 80, "tls": "node", "more": true},
                     {"id": 4, "domain": "b.example", "port": 80, "tls": "of a later version"}, "?"],
        "name_servers": ["203.0.113.1", "2001:db8::1", "nonsense", 7]})");
    const auto table = mapping_table_from_json(document);
    ASSERT_TRUE(table);
    EXPECT_EQ(table->name_servers.size(), 2u);
    EXPECT_EQ(table->edges.size(), 1u);
    EXPECT_EQ(table->mappings.size(), 1u);
    EXPECT_EQ(table->acme, "https://ca.example/dir");
    EXPECT_FALSE(mapping_table_from_json(nlohmann::json::array()));
}

TEST(Mappings, OfP2prcdDialNobodyUnlessTheySayWhere) {
    const auto table = mapping_table_from_json(nlohmann::json::parse(R"({"zone": "home.example", "mappings": [
        {"id": 1, "domain": "a.example", "port": 80, "tls": "node"},
        {"id": 2, "domain": "b.example", "port": 80, "tls": "node", "address": "::1", "groups": [7, 9, "x"],
         "availability": "coming", "hold_ms": 2500},
        {"id": 3, "domain": "c.example", "port": 80, "tls": "node", "address": "192.168.1.5",
         "hold_ms": 600000}]})"));
    ASSERT_TRUE(table);
    EXPECT_EQ(table->zone, "home.example");
    EXPECT_FALSE(table->mappings.at(1).address);
    EXPECT_EQ(table->mappings.at(2).address->text(), "::1");
    EXPECT_EQ(table->mappings.at(2).groups, (std::set<std::uint64_t>{7, 9}));
    EXPECT_EQ(table->mappings.at(2).availability, Availability::Coming);
    EXPECT_EQ(table->mappings.at(2).hold, std::chrono::milliseconds(2500));
    EXPECT_EQ(table->mappings.at(1).availability, Availability::Running);
    EXPECT_EQ(table->mappings.at(1).hold.count(), 0);
    EXPECT_EQ(table->mappings.at(3).hold, UpdateSpec::longest_hold);
    EXPECT_FALSE(table->mappings.at(3).address) << "of this machine's loopback alone";
}

} // namespace
