// What a conquered or faulty root may say, and what of it enters.
#include "core/gate.h"
#include "core/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace p2prc {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

const std::string digest(43, 'A');

Json process(Json more = Json::object()) {
    Json document{{"schema", 1},
                  {"id", 7},
                  {"name", "web"},
                  {"node", "home1"},
                  {"desired", "running"},
                  {"port", 20001},
                  {"created_by", "carol@home1"},
                  {"changed_by", "carol@home1"},
                  {"created_at", "2026-01-01T00:00:00Z"},
                  {"spec", {{"name", "web"}, {"port", 0}, {"run", {{"command", {"/bin/cat", "a\nb"}}}}}}};
    document.update(more);
    return document;
}

Json spec_with(Json run, const std::string& name = "web") {
    if (!run.contains("command")) run["command"] = {"/bin/cat"};
    return {{"spec", {{"name", name}, {"port", 0}, {"run", std::move(run)}}}};
}

TEST(Gate, LetsWhatTheRegistryWritesIn) {
    const auto accepted = accept_process("/processes/web", process());
    ASSERT_TRUE(accepted) << accepted.error().message;
    EXPECT_EQ(accepted->id, 7U);
    EXPECT_EQ(accepted->spec.run.command[1], "a\nb") << "a newline in a word of a command is a newline";
    EXPECT_TRUE(accept_process("/processes/web", process({{"port", nullptr}})));
    EXPECT_TRUE(accept_process("/processes/web", process({{"future", "\n"}}))) << "of a later version";
}

// The name becomes SyslogIdentifier=, StateDirectory= and the like, which systemd 252 writes into the unit's
// file without escaping a newline.
TEST(Gate, ANameIsOneNameOnly) {
    const std::string evil = "x\nExecStartPre=+/bin/sh -c id";
    const std::string path = "x/../../system/systemd-tmpfiles-clean";
    for (const auto& [key, document] : std::initializer_list<std::pair<std::string, Json>>{
             {"/processes/web", process({{"name", evil}})},
             {"/processes/" + evil, process({{"name", evil}})},
             {"/processes/web", process({{"name", "other"}})},
             {"/processes/other", process()},
             {"/processes/theft", process({{"name", "web"}})},
             {"/processes/" + path, process({{"name", path}})},
             {"/processes/x/web", process()},
             {"/offers/web", process()},
             {"/processes/edge", process({{"name", "edge"}})},
             {"/processes/web", process(spec_with(Json::object(), "other"))},
             {"/processes/web", Json::array()},
             {"/processes/web", Json()}}) {
        const auto accepted = accept_process(key, document);
        ASSERT_FALSE(accepted) << key << " " << document;
        EXPECT_EQ(accepted.error().code, ErrorCode::InvalidSpec);
        EXPECT_THAT(accepted.error().message, HasSubstr("/"));
        EXPECT_EQ(accepted.error().message.find('\n'), std::string::npos) << "what is quoted is made fit";
    }
}

TEST(Gate, AProcessIsWholeAndItsTextsAreLines) {
    for (const auto& more : std::initializer_list<Json>{
             {{"id", 0}},
             {{"id", "7"}},
             {{"node", ""}},
             {{"node", "../x"}},
             {{"port", 0}},
             {{"port", 22}, {"spec", {{"name", "web"}, {"run", {{"command", {"/bin/cat"}}}}}}},
             {{"port", 22}, {"spec", {{"name", "web"}, {"port", 80}, {"run", {{"command", {"/bin/cat"}}}}}}},
             {{"former_ids", std::vector<std::uint32_t>(17, 3)}},
             {{"created_by", "a\nb@home1"}},
             {{"changed_by", "\xEF\xBF\xBF"}},
             {{"created_at", std::string(201, '1')}},
             {{"digest", std::string("a\0b", 3)}},
             spec_with({{"user", "root\n"}}),
             spec_with({{"credentials", {{"A", "/x\nExecStartPre=+/bin/id"}}}}),
             spec_with({{"credentials", {{"A\n", "/x"}}}}),
             spec_with({{"environment", {{"A", "\xEF\xB7\x90"}}}}),
             spec_with({{"command", {"/bin/cat", "\xEF\xBF\xBE"}}}),
             spec_with({{"command", std::vector<std::string>(4097, "x")}})})
        EXPECT_FALSE(accept_process("/processes/web", process(more))) << more.dump(-1, ' ', true);
}

// What was applied is compared with them: after 2^64-2 nothing would ever be later.
TEST(Gate, CountsAreThoseOfPeople) {
    const std::uint64_t most = std::uint64_t{1} << 53;
    EXPECT_TRUE(accept_process("/processes/web", process({{"change", most}, {"epoch", most}})));
    for (const auto* count : {"change", "epoch", "local_sequence"})
        for (const auto made_up : {most + 1, std::numeric_limits<std::uint64_t>::max() - 1}) {
            const auto accepted = accept_process("/processes/web", process({{count, made_up}}));
            ASSERT_FALSE(accepted) << count;
            EXPECT_THAT(accepted.error().message, HasSubstr(count));
        }
}

TEST(Gate, ATombstoneIsThatOfItsId) {
    const Json good{{"id", 6000}, {"name", "web"}, {"node", "home2"}, {"by", "a@root"}, {"at", "2026"}};
    EXPECT_TRUE(accept_tombstone("/tombstones/6000", good));
    EXPECT_FALSE(accept_tombstone("/tombstones/6001", good));
    EXPECT_FALSE(accept_tombstone("/tombstones/x/6000", good));
    EXPECT_FALSE(accept_tombstone("/tombstones/0", {{"id", 0}, {"name", "web"}, {"node", "home2"}}));
    for (const auto& bad : std::initializer_list<Json>{{{"name", "x/../../system/systemd-tmpfiles-clean"}},
                                                       {{"name", ""}},
                                                       {{"node", "Home 2"}},
                                                       {{"by", "\x1b]0;x\x07"}},
                                                       {{"former_ids", std::vector<std::uint32_t>(17, 3)}}}) {
        auto document = good;
        document.update(bad);
        EXPECT_FALSE(accept_tombstone("/tombstones/6000", document)) << document;
    }
}

TEST(Gate, AMappingServesOrWaits) {
    const Json serving{{"mapping_id", 3},  {"domain", "web.home.example"},
                       {"process", "web"}, {"process_id", 7},
                       {"node", "home1"},  {"port", 20001},
                       {"tls", "node"},    {"created_by", "carol@home1"}};
    const Json waiting{{"mapping_id", 3}, {"domain", "web.home.example"}, {"process", "web"}};
    const std::string key = "/domains/web.home.example";
    EXPECT_TRUE(accept_domain(key, serving));
    EXPECT_TRUE(accept_domain(key, waiting));
    EXPECT_FALSE(accept_domain("/domains/other.home.example", serving));
    for (const auto& bad : std::initializer_list<Json>{{{"mapping_id", 0}},
                                                       {{"domain", "Web.Home.Example"}},
                                                       {{"domain", "web.home.example."}},
                                                       {{"process", "../x"}},
                                                       {{"process_id", 0}},
                                                       {{"node", ""}},
                                                       {{"port", 0}},
                                                       {{"created_by", "\n"}}}) {
        auto document = serving;
        document.update(bad);
        EXPECT_FALSE(accept_domain(key, document)) << document;
    }
}

TEST(Gate, ANodeHasKeysThatAreFingerprints) {
    const Json good{{"name", "home1"},
                    {"key", std::string(64, 'a')},
                    {"connector_key", ""},
                    {"role", "member"},
                    {"joined_at", "2026-01-01T00:00:00Z"}};
    EXPECT_TRUE(accept_node("/nodes/home1", good));
    EXPECT_FALSE(accept_node("/nodes/home2", good));
    for (const auto& bad : std::initializer_list<Json>{{{"name", "a/b"}},
                                                       {{"key", "short"}},
                                                       {{"connector_key", std::string(64, 'A')}},
                                                       {{"edge_key", std::string(65, 'a')}},
                                                       {{"joined_at", "\n"}}}) {
        auto document = good;
        document.update(bad);
        EXPECT_FALSE(accept_node("/nodes/home1", document)) << document;
    }
}

TEST(Gate, AFleetHasNamesAndAddresses) {
    const Json alone{{"id", std::string(32, 'a')}, {"zone", ""}, {"root", ""}};
    const Json good{{"id", std::string(32, 'a')},
                    {"zone", "home.example"},
                    {"root", "root"},
                    {"public_ips", {"203.0.113.10", "2001:db8::10"}},
                    {"acme", "https://acme.example/dir"},
                    {"web_ca", "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"}};
    EXPECT_TRUE(accept_fleet("/fleet", alone));
    EXPECT_TRUE(accept_fleet("/fleet", good));
    for (const auto& bad : std::initializer_list<Json>{
             {{"zone", "Home.Example"}},
             {{"zone", "*.home.example"}},
             {{"zone", "home.example\n"}},
             {{"root", "../x"}},
             {{"public_ips", {"203.0.113.10", "root.home.example"}}},
             {{"public_ips", {"203.0.113.10\n"}}},
             {{"public_ips", std::vector<std::string>(most_public_ips + 1, "203.0.113.10")}},
             {{"acme", "http://acme.example/dir"}},
             {{"acme", "https://acme.example/\x1b[2J"}},
             {{"web_ca", "-----BEGIN\x1b]0;x\x07"}},
             {{"web_ca", std::string(longest_web_ca + 1, 'A')}},
             {{"id", "\n"}}}) {
        auto document = good;
        document.update(bad);
        EXPECT_FALSE(accept_fleet("/fleet", document)) << document;
    }
    EXPECT_FALSE(accept_fleet("/fleet", Json::array()));
}

TEST(Gate, AnOfferIsThatOfItsNodeAndId) {
    EXPECT_TRUE(accept_offer("/offers/home1/7", {{"process", process()}, {"domains", Json::array()}}));
    EXPECT_FALSE(accept_offer("/offers/home2/7", {{"process", process()}}));
    EXPECT_FALSE(accept_offer("/offers/home1/8", {{"process", process()}}));
    EXPECT_FALSE(accept_offer("/offers/home1/7", {{"process", process({{"name", "x; reboot"}})}}));
    EXPECT_FALSE(accept_offer("/offers/home1/7", {{"process", 7}}));
    EXPECT_FALSE(accept_offer("/offers/home1/7", Json::array()));
}

// What a list shows becomes words that people copy ("p2prc logs NAME").
TEST(Gate, AListHasNamesAlsoOfWhatIsRefused) {
    const auto listable = [](const std::string& key, Json more = Json::object()) {
        return is_listable(key, process_from_json(process(std::move(more))).value());
    };
    EXPECT_TRUE(listable("/processes/web", {{"digest", "a\nb"}}));
    EXPECT_FALSE(listable("/processes/x; reboot", {{"name", "x; reboot"}}));
    EXPECT_FALSE(listable("/processes/other"));
    EXPECT_FALSE(listable("/processes/a/web"));
    EXPECT_FALSE(listable("/processes/web", {{"node", "a b"}}));
    EXPECT_FALSE(listable("/processes/web", {{"id", 0}}));
}

TEST(Gate, AChallengeFitsIntoDns) {
    const auto challenge = [](const std::string& domain, const std::string& value) {
        return accept_challenge(
            keys::challenge(domain, value),
            {{"domain", domain}, {"value", value}, {"node", "home1"}, {"expires", 1800000000}});
    };
    EXPECT_TRUE(challenge("web.home.example", digest));
    EXPECT_TRUE(challenge("*.home.example", digest));
    EXPECT_FALSE(challenge("web.home.example", digest + "="));
    EXPECT_FALSE(challenge("web.home.example", "\"quoted\""));
    EXPECT_FALSE(challenge("web.home.example", ""));
    const std::string label(63, 'a');
    const auto longest = label + "." + label + "." + label + "." + std::string(45, 'b');
    ASSERT_EQ(longest.size(), 237U);
    EXPECT_TRUE(challenge(longest, digest));
    EXPECT_FALSE(challenge(longest + "b", digest));
    EXPECT_TRUE(normalize_domain(longest + "b")) << "a domain it is all the same";
    EXPECT_FALSE(accept_challenge("/challenges/other.home.example/00",
                                  {{"domain", "web.home.example"}, {"value", digest}, {"node", "home1"}}));
}

} // namespace
} // namespace p2prc
