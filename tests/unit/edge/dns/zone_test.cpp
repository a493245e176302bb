#include "core/zone_records.h"
#include "edge/dns/record.h"
#include "edge/dns/wire.h"
#include "edge/dns/zone.h"
#include "message.h"

#include <gmock/gmock.h>

#include <set>

namespace p2prc::edge::dns::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string refusal(const std::string& text, std::vector<ZoneRecord> records = {}) {
    const auto zone =
        compile_zone({"home.example", {"192.0.2.1"}, text, "home.zone", std::move(records)}, {});
    return zone ? "accepted" : zone.error().message;
}

TEST(MadeRecords, AuthorityAddressesAndMappedNames) {
    RouteTable table;
    table.revision = 5;
    table.zones.push_back({"home.example", {"192.0.2.1", "2001:db8::1", "192.0.2.2"}, "", "", {}});
    table.routes = {{"app.home.example"}, {"*.apps.home.example"}, {"other.example"}};
    const auto snapshot = snapshot_of(table);
    EXPECT_THAT(ask(*snapshot, {"home.example", type::NS}).texts(0),
                ElementsAre("home.example 2 ns1.home.example", "home.example 2 ns2.home.example"));
    EXPECT_EQ(ask(*snapshot, {"home.example", type::SOA}).sections[0][0].name, "ns1.home.example");
    EXPECT_EQ(ask(*snapshot, {"home.example"}).sections[0].size(), 2u);
    EXPECT_EQ(ask(*snapshot, {"app.home.example"}).sections[0].size(), 2u);
    EXPECT_EQ(ask(*snapshot, {"app.home.example", type::AAAA}).sections[0].size(), 1u);
    EXPECT_EQ(ask(*snapshot, {"x.apps.home.example"}).sections[0].size(), 2u);
    EXPECT_EQ(ask(*snapshot, {"apps.home.example"}).rcode(), 0);
    EXPECT_EQ(ask(*snapshot, {"ns1.home.example"}).sections[0].size(), 1u);
    EXPECT_EQ(ask(*snapshot, {"ns1.home.example", type::AAAA}).sections[0].size(), 1u);
    EXPECT_EQ(ask(*snapshot, {"ns2.home.example", type::AAAA}).rcode(), 0);
    const Message negative = ask(*snapshot, {"nothing.home.example"});
    EXPECT_EQ(negative.rcode(), 3);
    EXPECT_LE(negative.sections[1][0].ttl, 60u);
    EXPECT_EQ(ask(*snapshot, {"other.example"}).rcode(), 5);
}

// By name, type and TTL, with data in wire form.
std::multiset<std::string> lines_of(const ZoneData& zone) {
    std::multiset<std::string> lines;
    for (const auto& [name, sets] : zone.names)
        for (const auto& [type, set] : sets)
            for (const std::string& rdata : set.rdata)
                lines.insert(name_to_text(name) + " " + std::to_string(type) + " " + std::to_string(set.ttl) +
                             " " + rdata);
    return lines;
}

// `p2prc dns records` lists them, in a program that does not read zones.
TEST(MadeRecords, AreListedAsTheyAreAnswered) {
    const std::vector<std::string> mapped{"app.home.example", "*.apps.home.example", "home.example",
                                          "ns1.home.example", "x.ns2.home.example"};
    const std::vector<ZoneRecord> own{{"_acme-challenge.app.home.example", "TXT", 30, "\"digest\""},
                                      {"_acme-challenge.home.example", "TXT", 30, "\"one\""},
                                      {"_acme-challenge.home.example", "TXT", 30, "\"two\""}};
    for (const std::vector<std::string>& addresses :
         {std::vector<std::string>{"192.0.2.1", "2001:db8::1", "192.0.2.2"},
          {"192.0.2.1"},
          {"2001:db8::1", "2001:db8::2"}}) {
        const Zone zone{"home.example", addresses, "", "", own};
        auto answered = compile_zone(zone, mapped);
        ASSERT_TRUE(answered) << answered.error().message;
        answered->set_serial(4711);
        ZoneData listed;
        for (const ZoneRecord& record : zone_records(zone, mapped, 4711)) {
            const auto read = parse_record(record);
            ASSERT_TRUE(read) << read.error().message;
            RRset& set = listed.names[read->owner][read->type];
            set.ttl = read->ttl;
            set.rdata.push_back(read->rdata);
        }
        EXPECT_EQ(lines_of(listed), lines_of(*answered));
    }
}

TEST(MadeRecords, FitBelowTheApexOrTheZoneIsRefused) {
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + std::string(50, 'b');
    EXPECT_TRUE(compile_zone({longest, {"192.0.2.1"}, "", "", {}}, {}));
    const auto longer = compile_zone({longest + "b", {"192.0.2.1"}, "", "", {}}, {});
    ASSERT_FALSE(longer);
    EXPECT_THAT(longer.error().message, HasSubstr("hostmaster"));
}

TEST(MadeRecords, GiveWayToTheZonesFile) {
    RouteTable table;
    table.zones.push_back({"home.example",
                           {"192.0.2.1"},
                           "@ SOA a.b c.d 9 1 1 1 30\n@ NS ns.x.net.\napp A 203.0.113.9\nfar CNAME x.net.\n"
                           "sub NS ns.x.net.\nnote TXT hi\n",
                           "home.zone",
                           {}});
    table.routes = {
        {"app.home.example"}, {"far.home.example"}, {"x.sub.home.example"}, {"note.home.example"}};
    const auto snapshot = snapshot_of(table);
    EXPECT_EQ(ask(*snapshot, {"app.home.example"}).sections[0][0].rdata, (Wire{203, 0, 113, 9}));
    EXPECT_EQ(ask(*snapshot, {"far.home.example"}).texts(0)[0], "far.home.example 5 x.net");
    EXPECT_FALSE(ask(*snapshot, {"x.sub.home.example"}).has(flag_aa));
    EXPECT_EQ(ask(*snapshot, {"note.home.example"}).sections[0].size(), 1u);
    EXPECT_THAT(ask(*snapshot, {"home.example", type::NS}).texts(0), ElementsAre("home.example 2 ns.x.net"));
    EXPECT_EQ(ask(*snapshot, {"no.home.example"}).sections[1][0].ttl, 30u);
}

TEST(MadeRecords, ChallengesAreSeveralTxtAtOneName) {
    RouteTable table;
    table.zones.push_back({"home.example",
                           {"192.0.2.1"},
                           "",
                           "",
                           {{"_acme-challenge.home.example", "TXT", 60, "\"one\""},
                            {"_acme-challenge.home.example", "TXT", 60, "two"},
                            {"_acme-challenge.home.example", "TXT", 60, "\"one\""},
                            {"home.example", "CAA", 60, "0 issue \"ca.example\""},
                            {"home.example", "MX", 60, "10 mail.home.example."}}});
    const auto snapshot = snapshot_of(table);
    const Message message = ask(*snapshot, {"_acme-challenge.home.example", type::TXT});
    ASSERT_EQ(message.sections[0].size(), 2u);
    EXPECT_EQ(message.sections[0][0].rdata, (Wire{3, 'o', 'n', 'e'}));
    EXPECT_EQ(message.sections[0][1].rdata, (Wire{3, 't', 'w', 'o'}));
    EXPECT_EQ(ask(*snapshot, {"home.example", type::CAA}).sections[0].size(), 1u);
    EXPECT_EQ(ask(*snapshot, {"home.example", type::MX}).texts(0)[0], "home.example 15 mail.home.example");
}

TEST(ZoneFile, TakesRfc1035Text) {
    const auto zone =
        compile_zone({"home.example",
                      {},
                      "$ORIGIN home.example.\n$TTL 1h\n"
                      "@ IN SOA ns1 host (\n  2024010101 ; serial\n  3600 900 1209600 60 )\n"
                      "\tNS ns1\n\n; a comment\nns1 60 IN A 192.0.2.1\n   IN AAAA 2001:db8::1\n"
                      "a\\.b TXT \"semi;colon\" \"two\"\n$ORIGIN sub.home.example.\nx A 192.0.2.2\n",
                      "home.zone",
                      {}},
                     {});
    ASSERT_TRUE(zone) << zone.error().message;
    EXPECT_EQ(zone->file_serial, 2024010101u);
    EXPECT_EQ(zone->names.at(*name_from_text("ns1.home.example")).at(type::A).ttl, 60u);
    EXPECT_EQ(zone->names.at(*name_from_text("ns1.home.example")).size(), 2u);
    EXPECT_EQ(zone->names.at(*name_from_text("a\\.b.home.example")).at(type::TXT).ttl, 3600u);
    EXPECT_TRUE(zone->names.contains(*name_from_text("x.sub.home.example")));
}

TEST(ZoneFile, ErrorsNameFileAndLine) {
    EXPECT_THAT(refusal("a A 192.0.2.1\nb A not-an-address\n"), HasSubstr("home.zone:2: "));
    EXPECT_THAT(refusal("a A 192.0.2.1\n\n\nb WHAT 1\n"), HasSubstr("home.zone:4: "));
    EXPECT_THAT(refusal("$INCLUDE other.zone\n"),
                AllOf(HasSubstr("home.zone:1: "), HasSubstr("not in this version")));
    EXPECT_THAT(refusal("$GENERATE 1-2 a$ A 192.0.2.$\n"), HasSubstr("home.zone:1: "));
    EXPECT_THAT(refusal("a CH TXT x\n"), HasSubstr("class IN"));
    EXPECT_THAT(refusal(std::string("a A 192.0.2.1\0", 14)), HasSubstr("zero byte"));
    EXPECT_THAT(refusal("a.other.net. A 192.0.2.1\n"),
                AllOf(HasSubstr("home.zone:1: "), HasSubstr("not in zone")));
    EXPECT_THAT(refusal("a TXT ok\na NSEC b A\n"), HasSubstr("signed zone files are not in this version"));
    EXPECT_THAT(refusal("a DNAME b\n"), HasSubstr("not in this version"));
}

TEST(ZoneFile, CnameStandsAlone) {
    EXPECT_THAT(refusal("a A 192.0.2.1\na CNAME b\n"),
                AllOf(HasSubstr("home.zone:2"), HasSubstr("a.home.example")));
    EXPECT_THAT(refusal("a CNAME b\nA TXT t\n"), HasSubstr("both"));
    EXPECT_THAT(refusal("a CNAME b\na CNAME c\n"), HasSubstr("a second CNAME"));
    EXPECT_THAT(refusal("@ CNAME b\n"), HasSubstr("apex"));
    EXPECT_THAT(refusal("a CNAME b\n", {{"a.home.example", "TXT", 60, "x"}}),
                HasSubstr("record a.home.example TXT"));
    EXPECT_EQ(refusal("a CNAME b\na CNAME b\n"), "accepted");
}

TEST(ZoneFile, RefusesWhatNoZoneMayHold) {
    EXPECT_THAT(refusal("a SOA x y 1 1 1 1 1\n"), HasSubstr("SOA at 'a.home.example'"));
    EXPECT_THAT(refusal("@ SOA x y 1 1 1 1 1\n@ SOA x y 2 1 1 1 1\n"), HasSubstr("a second SOA"));
    EXPECT_THAT(refusal("*.a NS ns1\n"), HasSubstr("wildcard"));
    EXPECT_THAT(refusal("a DS 1 13 2 00\n"), HasSubstr("not delegated"));
    EXPECT_THAT(refusal("a TYPE255 \\# 0\n"), HasSubstr("cannot be in a zone"));
    EXPECT_THAT(refusal("a HTTPS 1 . mandatory=port alpn=h2\n"), HasSubstr("absent"));
    std::string big;
    for (int i = 0; i < 300; ++i)
        big += "a TXT " + std::string(200, 'x') + std::to_string(i) + "\n";
    EXPECT_THAT(refusal(big), HasSubstr("more than an answer can carry"));
}

TEST(ZoneFile, RecordsAreReadStrictly) {
    EXPECT_THAT(refusal("", {{"a.home.example", "A", 60, "192.0.2"}}), HasSubstr("not an address"));
    EXPECT_THAT(refusal("", {{"a.home.example", "TXT", 60, "\"open"}}), HasSubstr("not a list of strings"));
    EXPECT_THAT(refusal("", {{"a.home.example", "TXT", 60, "a\nb TXT c"}}), HasSubstr("control character"));
    EXPECT_THAT(refusal("", {{"a.home.example", "60 A", 60, "192.0.2.1"}}), HasSubstr("not a word"));
    EXPECT_THAT(refusal("", {{"a.other.example", "A", 60, "192.0.2.1"}}), HasSubstr("not in zone"));
    EXPECT_THAT(refusal("", {{"a.home.example", "MX", 60, "x"}}), HasSubstr("record a.home.example MX"));
    EXPECT_EQ(refusal("", {{"a.home.example", "TXT", 60, "\"esc\\\"aped\\065\" x"}}), "accepted");
}

TEST(Zones, NeedAServerAndComeOnce) {
    EXPECT_FALSE(compile_zone({"home.example", {}, "", "", {}}, {}));
    EXPECT_FALSE(compile_zone({"home.example", {"nonsense"}, "", "", {}}, {}));
    RouteTable table;
    table.zones.push_back({"home.example", {"192.0.2.1"}, "", "", {}});
    table.zones.push_back({"home.example", {"192.0.2.1"}, "", "", {}});
    EXPECT_FALSE(check_zones(table));
    table.zones[1].name = "Home.example.";
    EXPECT_FALSE(check_zones(table));
    const auto admitted = admit_zones(table, {});
    ASSERT_EQ(admitted.size(), 2u);
    EXPECT_TRUE(admitted[0].served);
    EXPECT_FALSE(admitted[1].served);
    EXPECT_THAT(admitted[1].rejected.at(0).reason, HasSubstr("twice"));
}

// DENIC and others look at these before they delegate.
TEST(Zones, WhatIsMadePassesRegistriesChecks) {
    const auto zone =
        compile_zone({"home.example", {"192.0.2.1", "2001:db8::1", "192.0.2.2"}, "", "", {}}, {});
    ASSERT_TRUE(zone);
    const auto& apex = zone->names.at(zone->apex);
    EXPECT_EQ(apex.at(type::NS).rdata.size(), 2u);
    const auto at = [&](const char* name, std::uint16_t type) {
        return zone->names.at(*name_from_text(name)).at(type).rdata.size();
    };
    EXPECT_EQ(at("ns1.home.example", type::A), 1u);
    EXPECT_EQ(at("ns1.home.example", type::AAAA), 1u);
    EXPECT_EQ(at("ns2.home.example", type::A), 1u);
    const auto& soa = apex.at(type::SOA);
    const auto& rdata = soa.rdata.at(0);
    const auto number = [&](std::size_t from_end) {
        return get32(reinterpret_cast<const std::uint8_t*>(rdata.data()) + rdata.size() - from_end);
    };
    const auto refresh = number(16), retry = number(12), expire = number(8), minimum = number(4);
    EXPECT_TRUE(refresh >= 3600 && refresh <= 86400);
    EXPECT_TRUE(retry >= 900 && retry <= 28800 && retry * 8 >= refresh && retry * 3 <= refresh);
    EXPECT_TRUE(expire >= 604800 && expire <= 3600000);
    EXPECT_TRUE(minimum >= 180 && minimum <= 86400);
    EXPECT_LE(soa.ttl, 60u) << "a negative answer lives no longer";
}

// The name of a challenge is longer than that of its domain.
TEST(Zones, ABadRecordIsLeftOutAlone) {
    const std::string label(63, 'a');
    const std::string long_name =
        "_acme-challenge." + label + "." + label + "." + label + "." + std::string(40, 'b') + ".home.example";
    Zone zone{"home.example", {"192.0.2.1", "nonsense"}, "", "", {}};
    zone.records = {{long_name, "TXT", 30, "\"x\""},
                    {"_acme-challenge.app.home.example", "TXT", 30, "\"good\""},
                    {"other.example", "TXT", 30, "\"x\""},
                    {"a.home.example", "TXT", 30, "\"" + std::string(300, 'x') + "\""}};
    const auto admitted = admit_zone(zone);
    ASSERT_TRUE(admitted.served);
    ASSERT_EQ(admitted.served->records.size(), 1u);
    EXPECT_EQ(admitted.served->records[0].data, "\"good\"");
    EXPECT_EQ(admitted.served->addresses, std::vector<std::string>{"192.0.2.1"});
    EXPECT_EQ(admitted.rejected.size(), 4u);
    EXPECT_TRUE(compile_zone(*admitted.served, {}));
    for (const auto& each : admitted.rejected)
        EXPECT_FALSE(each.reason.empty()) << each.name;
}

TEST(Zones, MoreThanAnAnswerCarriesIsLeftOut) {
    Zone zone{"home.example", {"192.0.2.1"}, "", "", {}};
    for (int i = 0; i < 400; ++i)
        zone.records.push_back(
            {"t.home.example", "TXT", 30, "\"" + std::to_string(i) + std::string(200, 'x') + "\""});
    const auto admitted = admit_zone(zone);
    ASSERT_TRUE(admitted.served);
    EXPECT_GT(admitted.served->records.size(), 200u);
    EXPECT_EQ(admitted.served->records.size() + admitted.rejected.size(), 400u);
    EXPECT_TRUE(compile_zone(*admitted.served, {}));
}

TEST(Zones, AZoneThatCannotBeServedStaysAsItWas) {
    RouteTable table;
    table.zones = {{"home.example", {"192.0.2.1"}, "a A 192.0.2.9\n", "z", {}},
                   {"other.example", {"192.0.2.1"}, "", "", {}}};
    const auto first = admit_zones(table, {});
    table.zones[0].file_text = "a A nonsense\n";
    table.zones[1].addresses = {"192.0.2.2"};
    const auto second = admit_zones(table, first);
    ASSERT_EQ(second.size(), 2u);
    EXPECT_EQ(second[0].served, first[0].served);
    EXPECT_EQ(second[0].rejected.size(), 1u);
    EXPECT_EQ(second[1].served->addresses, std::vector<std::string>{"192.0.2.2"});
    EXPECT_EQ(admit_zones(table, second)[0].served, first[0].served) << "nor is it forgotten later";
}

TEST(Zones, TtlsOfASetAreOne) {
    const auto zone =
        compile_zone({"home.example", {"192.0.2.1"}, "a 600 A 192.0.2.1\na 30 A 192.0.2.2\n", "z", {}}, {});
    ASSERT_TRUE(zone);
    EXPECT_EQ(zone->names.at(*name_from_text("a.home.example")).at(type::A).ttl, 30u);
}

TEST(Names, TextAndBack) {
    EXPECT_EQ(name_to_text(*name_from_text("a\\.b.\\032x.example.")), "a\\.b.\\032x.example");
    EXPECT_EQ(name_to_text(*name_from_text(".")), ".");
    for (const char* bad : {"", "a..b", ".a", "a\\", "a\\25", "a\\256.b"})
        EXPECT_FALSE(name_from_text(bad)) << bad;
    EXPECT_FALSE(name_from_text(std::string(64, 'a')));
    EXPECT_TRUE(name_from_text(std::string(63, 'a')));
}

} // namespace
} // namespace p2prc::edge::dns::testing
