#include "message.h"

#include <gmock/gmock.h>

namespace p2prc::edge::dns::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* zone_text = R"($TTL 300
@ IN SOA ns1 hostmaster 7 3600 900 1209600 60
@ NS ns1
@ NS ns.elsewhere.net.
@ MX 10 mail
@ TXT "apex"
@ CAA 0 issue "letsencrypt.org"
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.2
Mixed.Case A 192.0.2.3
deep.down.here A 192.0.2.4
*.wild A 192.0.2.5
*.wild MX 5 mail.wild
blocked.wild TXT "no A here"
host.ent.wild A 192.0.2.6
*.calias CNAME mail
alias CNAME mail
chain CNAME alias
gone CNAME nowhere
out CNAME www.example.net.
loop1 CNAME loop2
loop2 CNAME loop1
towild CNAME foo.wild
tocut CNAME www.sub
sub NS ns.sub
sub NS ns1
sub NS ns.other.org.
sub DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub A 192.0.2.10
ns.sub AAAA 2001:db8::10
www.sub A 192.0.2.99
unsigned NS ns.unsigned
ns.unsigned A 192.0.2.11
srv SRV 0 5 5060 mail
_443._tcp TLSA 3 1 1 00
generic TYPE65280 \# 3 010203
https HTTPS 1 . alpn=h2
)";

class Answers : public ::testing::Test {
  protected:
    Message ask(const std::string& name, std::uint16_t qtype = type::A, std::uint16_t flags = 0) const {
        return testing::ask(*snapshot_, {name, qtype, std::nullopt, flags});
    }
    std::shared_ptr<const Snapshot> snapshot_ = snapshot_of("home.example", zone_text);
};

MATCHER_P(IsNegative, rcode, "") {
    return arg.rcode() == rcode && arg.has(flag_aa) && arg.sections[0].empty() &&
           arg.sections[1].size() == 1 && arg.sections[1][0].type == type::SOA &&
           arg.sections[1][0].owner == "home.example" && arg.sections[1][0].ttl == 60;
}

TEST_F(Answers, CopiesIdAndRdAndClaimsNoRecursion) {
    const Message message = ask("mail.home.example", type::A, flag_rd);
    EXPECT_EQ(message.id, 0x1234);
    EXPECT_EQ(message.flags, flag_qr | flag_aa | flag_rd);
    EXPECT_EQ(ask("mail.home.example").flags, flag_qr | flag_aa);
    // AD and Z are not echoed; CD is (RFC 4035 section 3.1.6).
    EXPECT_EQ(ask("mail.home.example", type::A, 0x0070).flags, flag_qr | flag_aa | flag_cd);
}

TEST_F(Answers, EchoesTheNameByteForByteWhateverItsCase) {
    const Message message = ask("mIxEd.CaSe.HOME.example");
    EXPECT_EQ(message.qname, "mIxEd.CaSe.HOME.example");
    ASSERT_EQ(message.sections[0].size(), 1u);
    EXPECT_EQ(message.sections[0][0].owner, "mIxEd.CaSe.HOME.example");
}

TEST_F(Answers, NegativesCarryTheSoaWithItsMinimumAsTtl) {
    EXPECT_THAT(ask("nowhere.home.example"), IsNegative(3));
    EXPECT_THAT(ask("a.b.c.nowhere.home.example"), IsNegative(3));
    EXPECT_THAT(ask("mail.home.example", type::CAA), IsNegative(0));
    EXPECT_THAT(ask("mail.home.example", type::TXT), IsNegative(0));
    EXPECT_THAT(ask("below.mail.home.example"), IsNegative(3));
}

TEST_F(Answers, EmptyNonTerminalsExist) {
    EXPECT_THAT(ask("down.here.home.example"), IsNegative(0));
    EXPECT_THAT(ask("here.home.example"), IsNegative(0));
    EXPECT_THAT(ask("_tcp.home.example"), IsNegative(0));
    EXPECT_THAT(ask("x.here.home.example"), IsNegative(3));
}

TEST_F(Answers, WildcardsCoverWhatDoesNotExist) {
    const Message message = ask("a.b.wild.home.example");
    EXPECT_THAT(message.texts(0), ElementsAre("a.b.wild.home.example 1"));
    EXPECT_TRUE(message.has(flag_aa));
    EXPECT_THAT(ask("x.wild.home.example", type::MX).texts(0),
                ElementsAre("x.wild.home.example 15 mail.wild.home.example"));
    EXPECT_THAT(ask("*.wild.home.example", type::MX).texts(0),
                ElementsAre("*.wild.home.example 15 mail.wild.home.example"));
    EXPECT_THAT(ask("x.wild.home.example", type::TXT), IsNegative(0));
}

TEST_F(Answers, AnExistingNameBlocksTheWildcard) {
    EXPECT_THAT(ask("blocked.wild.home.example"), IsNegative(0));
    EXPECT_THAT(ask("x.blocked.wild.home.example"), IsNegative(3));
    EXPECT_THAT(ask("ent.wild.home.example"), IsNegative(0)); // an empty non-terminal blocks too
    EXPECT_THAT(ask("x.ent.wild.home.example"), IsNegative(3));
    EXPECT_THAT(ask("x.*.wild.home.example"), IsNegative(3)); // RFC 4592 section 2.2.1
}

TEST_F(Answers, FollowsCnamesInsideTheZones) {
    EXPECT_THAT(ask("chain.home.example").texts(0),
                ElementsAre("alias.home.example 5 mail.home.example",
                            "chain.home.example 5 alias.home.example", "mail.home.example 1"));
    EXPECT_THAT(ask("alias.home.example", type::CNAME).texts(0),
                ElementsAre("alias.home.example 5 mail.home.example"));
    EXPECT_THAT(ask("towild.home.example").texts(0),
                ElementsAre("foo.wild.home.example 1", "towild.home.example 5 foo.wild.home.example"));
    EXPECT_THAT(ask("any.calias.home.example").texts(0),
                ElementsAre("any.calias.home.example 5 mail.home.example", "mail.home.example 1"));
    const Message outside = ask("out.home.example");
    EXPECT_EQ(outside.rcode(), 0);
    EXPECT_THAT(outside.texts(0), ElementsAre("out.home.example 5 www.example.net"));
    EXPECT_THAT(outside.texts(1), IsEmpty());
}

TEST_F(Answers, TheRcodeIsThatOfTheLastName) {
    const Message gone = ask("gone.home.example");
    EXPECT_EQ(gone.rcode(), 3);
    EXPECT_EQ(gone.sections[0].size(), 1u);
    ASSERT_EQ(gone.sections[1].size(), 1u);
    EXPECT_EQ(gone.sections[1][0].type, type::SOA);
    const Message empty = ask("alias.home.example", type::TXT);
    EXPECT_EQ(empty.rcode(), 0);
    EXPECT_EQ(empty.sections[1].size(), 1u);
}

TEST_F(Answers, CnameLoopsEnd) {
    const Message loop = ask("loop1.home.example");
    EXPECT_EQ(loop.rcode(), 0);
    EXPECT_EQ(loop.sections[0].size(), 2u);
    std::string text = "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n";
    for (int i = 0; i < 40; ++i)
        text += "c" + std::to_string(i) + " CNAME c" + std::to_string(i + 1) + "\n";
    const Message longest =
        testing::ask(*snapshot_of("home.example", text), {"c0.home.example"}, Transport::Tcp);
    EXPECT_EQ(longest.rcode(), 0);
    EXPECT_EQ(longest.sections[0].size(), 16u);
}

TEST_F(Answers, RefersBelowADelegationWithItsGlue) {
    for (const char* name : {"sub.home.example", "www.sub.home.example", "a.b.c.sub.home.example"}) {
        const Message message = ask(name);
        EXPECT_EQ(message.rcode(), 0);
        EXPECT_FALSE(message.has(flag_aa)) << name;
        EXPECT_THAT(message.texts(0), IsEmpty());
        EXPECT_THAT(message.texts(1),
                    ElementsAre("sub.home.example 2 ns.other.org", "sub.home.example 2 ns.sub.home.example",
                                "sub.home.example 2 ns1.home.example"));
        EXPECT_THAT(message.texts(2), ElementsAre("ns.sub.home.example 1", "ns.sub.home.example 28",
                                                  "ns1.home.example 1", "ns1.home.example 28"));
    }
    const Message chained = ask("tocut.home.example");
    EXPECT_TRUE(chained.has(flag_aa)); // of the first name
    EXPECT_EQ(chained.sections[0].size(), 1u);
    EXPECT_EQ(chained.sections[1].size(), 3u);
}

TEST_F(Answers, TheParentAnswersForDs) {
    const Message message = ask("sub.home.example", type::DS);
    EXPECT_TRUE(message.has(flag_aa));
    EXPECT_THAT(message.texts(0), ElementsAre("sub.home.example 43"));
    EXPECT_THAT(ask("unsigned.home.example", type::DS), IsNegative(0));
    EXPECT_FALSE(ask("www.sub.home.example", type::DS).has(flag_aa));
    EXPECT_THAT(ask("home.example", type::DS), IsNegative(0));
}

TEST_F(Answers, AParentServedHereAnswersDsOfItsChild) {
    RouteTable table;
    table.zones.push_back({"example",
                           {},
                           "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\nx.y.home TXT hidden\n"
                           "home NS ns1\nhome DS 1 13 2 00\n",
                           "parent.zone",
                           {}});
    table.zones.push_back({"home.example", {"192.0.2.7"}, "", "", {}});
    table.zones.push_back({"a.b.example", {"192.0.2.8"}, "", "", {}});
    const auto snapshot = snapshot_of(table);
    const Message ds = testing::ask(*snapshot, {"home.example", type::DS});
    EXPECT_THAT(ds.texts(0), ElementsAre("home.example 43"));
    EXPECT_THAT(testing::ask(*snapshot, {"home.example", type::NS}).texts(0),
                ElementsAre("home.example 2 ns1.home.example"));
    const Message none = testing::ask(*snapshot, {"a.b.example", type::DS});
    ASSERT_EQ(none.sections[1].size(), 1u);
    EXPECT_EQ(none.sections[1][0].owner, "example");
    EXPECT_EQ(testing::ask(*snapshot, {"x.y.home.example", type::TXT}).rcode(), 3);
    EXPECT_EQ(testing::ask(*snapshot, {"b.example"}).rcode(), 0); // on the way to a zone: it exists
}

TEST_F(Answers, RefusesWhatIsNotItsOwn) {
    for (const char* name : {"example.net", "example", ".", "nothome.example", "home.example.com"}) {
        const Message message = ask(name);
        EXPECT_EQ(message.rcode(), 5) << name;
        EXPECT_FALSE(message.has(flag_aa));
        EXPECT_THAT(message.sections[1], IsEmpty());
    }
    for (const std::uint16_t qclass :
         {std::uint16_t{3}, std::uint16_t{4}, std::uint16_t{255}, std::uint16_t{0}}) {
        const Message message =
            testing::ask(*snapshot_, {"home.example", type::A, std::nullopt, 0, 1, qclass});
        EXPECT_EQ(message.rcode(), 5);
        EXPECT_THAT(message.sections[1], IsEmpty());
    }
    EXPECT_EQ(ask("home.example", type::AXFR).rcode(), 5);
    EXPECT_EQ(ask("home.example", type::IXFR).rcode(), 5);
}

TEST_F(Answers, AnyGetsOneRRset) {
    const Message message = ask("home.example", type::ANY);
    EXPECT_THAT(message.texts(0),
                ElementsAre("home.example 2 ns.elsewhere.net", "home.example 2 ns1.home.example"));
    EXPECT_THAT(ask("alias.home.example", type::ANY).texts(0),
                ElementsAre("alias.home.example 5 mail.home.example"));
    EXPECT_THAT(ask("here.home.example", type::ANY), IsNegative(0));
    EXPECT_THAT(ask("x.wild.home.example", type::ANY).texts(0), ElementsAre("x.wild.home.example 1"));
    EXPECT_FALSE(ask("sub.home.example", type::ANY).has(flag_aa));
}

TEST_F(Answers, ServesEachType) {
    const std::vector<std::pair<const char*, std::uint16_t>> cases{
        {"home.example", type::SOA},     {"home.example", type::NS},
        {"home.example", type::MX},      {"home.example", type::TXT},
        {"home.example", type::CAA},     {"ns1.home.example", type::AAAA},
        {"srv.home.example", type::SRV}, {"_443._tcp.home.example", type::TLSA},
        {"generic.home.example", 65280}, {"https.home.example", type::HTTPS}};
    for (const auto& [name, qtype] : cases) {
        const Message message = ask(name, qtype);
        EXPECT_EQ(message.rcode(), 0);
        ASSERT_FALSE(message.sections[0].empty()) << name << qtype;
        EXPECT_EQ(message.sections[0][0].type, qtype);
    }
}

TEST_F(Answers, CompressesOnlyTheTypesOfRfc1035) {
    // MX: preference and a pointer after the label "mail".
    EXPECT_EQ(ask("home.example", type::MX).sections[0][0].rdata,
              (Wire{0, 10, 4, 'm', 'a', 'i', 'l', 0xc0, 12}));
    Wire srv{0, 0, 0, 5, 0x13, 0xc4};
    const Wire mail = wire_name("mail.home.example");
    srv.insert(srv.end(), mail.begin(), mail.end());
    EXPECT_EQ(ask("srv.home.example", type::SRV).sections[0][0].rdata, srv);
    EXPECT_EQ(ask("generic.home.example", 65280).sections[0][0].rdata, (Wire{1, 2, 3}));
}

TEST_F(Answers, TheLongestNamesAreAnswered) {
    std::string name;
    while (name.size() < 240)
        name += "x.";
    EXPECT_THAT(ask(name + "home.example"), IsNegative(3));
    EXPECT_THAT(ask(std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') +
                        ".wild.home.example",
                    type::MX)
                    .texts(0)
                    .size(),
                1u);
}

TEST(Truncation, DropsWholeRRsetsAndSetsTc) {
    std::string text = "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n";
    for (int i = 0; i < 30; ++i)
        text += "big TXT \"" + std::string(30, 'a') + std::to_string(i) + "\"\n";
    text += "to CNAME big\n";
    const auto snapshot = snapshot_of("home.example", text);
    const Message plain = ask(*snapshot, {"big.home.example", type::TXT});
    EXPECT_TRUE(plain.has(flag_tc));
    EXPECT_LE(plain.size, 512u);
    EXPECT_TRUE(plain.sections[0].empty());
    const Message edns = ask(*snapshot, {"big.home.example", type::TXT, Edns0{4096}});
    EXPECT_TRUE(edns.has(flag_tc)); // never more than 1232
    EXPECT_NE(edns.opt(), nullptr);
    const Message chained = ask(*snapshot, {"to.home.example", type::TXT});
    EXPECT_TRUE(chained.has(flag_tc));
    EXPECT_EQ(chained.sections[0].size(), 1u);
    const Message tcp = ask(*snapshot, {"big.home.example", type::TXT}, Transport::Tcp);
    EXPECT_FALSE(tcp.has(flag_tc));
    EXPECT_EQ(tcp.sections[0].size(), 30u);
}

TEST(Truncation, MissingGlueIsTruncationAndOtherAddressesAreNot) {
    std::string text = "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n";
    for (int i = 0; i < 12; ++i) {
        const std::string n = std::to_string(i);
        text +=
            "in NS server" + n + ".in\nserver" + n + ".in A 192.0.2.1\nserver" + n + ".in AAAA 2001:db8::1\n";
        text += "side NS server" + n + "\nserver" + n + " A 192.0.2.1\nserver" + n + " AAAA 2001:db8::1\n";
    }
    const auto snapshot = snapshot_of("home.example", text);
    EXPECT_TRUE(ask(*snapshot, {"x.in.home.example"}).has(flag_tc)); // RFC 9471
    EXPECT_FALSE(ask(*snapshot, {"x.side.home.example"}).has(flag_tc));
    EXPECT_EQ(ask(*snapshot, {"x.in.home.example"}, Transport::Tcp).sections[2].size(), 24u);
}

TEST(Names, TwoZonesAndACnameBetweenThem) {
    RouteTable table;
    table.zones.push_back({"a.example", {"192.0.2.1"}, "www CNAME www.b.example.\n", "a.zone", {}});
    table.zones.push_back({"b.example", {"192.0.2.2"}, "", "", {}});
    table.routes.push_back({"www.b.example"});
    const Message message = ask(*snapshot_of(table), {"www.a.example"});
    EXPECT_THAT(message.texts(0), ElementsAre("www.a.example 5 www.b.example", "www.b.example 1"));
}

} // namespace
} // namespace p2prc::edge::dns::testing
