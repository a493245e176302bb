#include "core/keys.h"
#include "core/local_action.h"
#include "core/records.h"
#include "tests/unit/support/source_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace p2prc::keys {
namespace {

TEST(KeyFamilies, EachKeyIsOfOneFamily) {
    for (const Family* one : families()) {
        EXPECT_EQ(family_of(std::string(one->prefix) + (one->part_count() ? "x" : "")), one) << one->prefix;
        for (const Family* other : families())
            if (one != other)
                EXPECT_FALSE(one->prefix.starts_with(other->prefix)) << one->prefix << other->prefix;
    }
}

TEST(KeyFamilies, OfANodeSayWhereItStands) {
    for (const Family* family : families()) {
        const bool named = family->part_count() > 0 && family->parts[0] == Part::Node;
        EXPECT_EQ(named, (family->node & node_in_key) != 0) << family->prefix;
        if (family->dropped_with_node || family->renamed_with_node)
            EXPECT_NE(family->node, 0U) << family->prefix;
        if (family->kind == Kind::Owned || family->kind == Kind::Folded) {
            EXPECT_TRUE(family->node & node_in_key) << family->prefix;
            EXPECT_TRUE(family->dropped_with_node) << family->prefix;
        }
        EXPECT_EQ(family->share == Share::Owned || family->share == Share::Offers,
                  family->kind == Kind::Owned)
            << family->prefix;
    }
}

// What nodes act upon, and a conquered root could have written.
TEST(KeyFamilies, AgreedOnesHaveAGate) {
    for (const Family* family : families())
        if (family->kind == Kind::Agreed) EXPECT_NE(family->gate, nullptr) << family->prefix;
    EXPECT_FALSE(family_of(processes)->gate(process("web"), nlohmann::json{{"name", "../etc"}}));
}

TEST(KeyFamilies, AreTheRowsOfTheArchitecture) {
    std::ifstream file(test::source_path("docs/architecture.md"));
    std::set<std::string> documented;
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("| `/")) documented.insert(line.substr(3, line.find('`', 3) - 3));
    for (const Family* family : families()) {
        if (family->kind == Kind::Private) continue;
        const bool found = std::ranges::any_of(documented, [&](const std::string& key) {
            return family->part_count() == 0 ? key == family->prefix : key.starts_with(family->prefix);
        });
        EXPECT_TRUE(found) << family->prefix << " has no row in docs/architecture.md";
    }
}

TEST(Keys, AreTakenApartAsTheyWereMade) {
    const auto status_key = status("home1", 7);
    const auto parsed = parse(status_key);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->family->prefix, statuses);
    EXPECT_EQ(parsed->node(), "home1");
    EXPECT_EQ(parsed->id(), 7U);
    EXPECT_EQ(parsed->subject(), "7");

    const auto serving_key = serving("home1", "wiki.home.example");
    EXPECT_EQ(parse(serving_key)->part(Part::Domain), "wiki.home.example");
    const auto challenge_key = challenge("wiki.home.example", "value");
    EXPECT_EQ(parse(challenge_key)->part(Part::Domain), "wiki.home.example");
    EXPECT_TRUE(challenge_key.starts_with(challenges_of("wiki.home.example")));
    EXPECT_EQ(parse(fleet)->subject(), "");
    EXPECT_EQ(parse(invitation("ab"))->subject(), "ab");
}

TEST(Keys, OfAnotherFormAreNone) {
    for (const auto* key :
         {"", "/", "/processes/", "/status/home1", "/status/home1/", "/status//7", "/status/home1/07",
          "/status/home1/x", "/status/home1/4294967296", "/status/home1/7/8", "/info/home1/more",
          "/fleet/more", "/unknown/x", "status/home1/7"})
        EXPECT_FALSE(parse(key)) << key;
}

TEST(Keys, OfANodeAreOnePrefixOrOneKey) {
    EXPECT_EQ(of_node(*family_of(statuses), "home1"), status_prefix("home1"));
    EXPECT_EQ(of_node(*family_of(tunnels), "home1"), tunnel("home1"));
}

TEST(Keys, OfAnotherRowAreKnownWhileItIsThere) {
    {
        const ExtraFamily ports({.prefix = "/ports/", .parts = {Part::Digest}});
        ASSERT_TRUE(parse("/ports/tcp-25565"));
        EXPECT_EQ(parse("/ports/tcp-25565")->subject(), "tcp-25565");
    }
    EXPECT_FALSE(parse("/ports/tcp-25565"));
}

TEST(LocalActions, AreReadAsTheyWereWritten) {
    const LocalAction action{7, "stop", 3, "carol@home1", "2026-01-02T03:04:05Z"};
    const auto read = local_action_from_json(to_json(action));
    EXPECT_EQ(read.id, 7U);
    EXPECT_EQ(read.action, "stop");
    EXPECT_EQ(read.sequence, 3U);
    EXPECT_EQ(read.by, "carol@home1");
    EXPECT_EQ(read.at, "2026-01-02T03:04:05Z");
    EXPECT_EQ(local_action_from_json("none").sequence, 0U);
    EXPECT_EQ(local_action_from_json({{"sequence", -1}}).sequence, 0U);
}

TEST(LocalActions, CountUntilTheRecordHasTakenThemIn) {
    ProcessRecord record;
    record.change = 5;
    const LocalAction action{.id = 7, .action = "stop", .sequence = 3};
    EXPECT_FALSE(taken_in(record, action));
    EXPECT_EQ(change_with(record, action), 8U);
    set_folded_sequence(record, 2);
    EXPECT_EQ(change_with(record, action), 6U);
    set_folded_sequence(record, 3);
    EXPECT_TRUE(taken_in(record, action));
}

} // namespace
} // namespace p2prc::keys
