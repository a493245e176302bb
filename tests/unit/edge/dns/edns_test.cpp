#include "message.h"

#include <gmock/gmock.h>

namespace p2prc::edge::dns::testing {
namespace {

class EdnsAnswers : public ::testing::Test {
  protected:
    Message ask_with(const Edns0& edns, std::uint16_t qtype = type::A) const {
        return ask(*snapshot_, {"home.example", qtype, edns});
    }
    static std::string zone() {
        std::string text = "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n@ A 192.0.2.1\n";
        for (int i = 0; i < 20; ++i)
            text += "@ TXT \"" + std::string(27, 'x') + std::to_string(100 + i) + "\"\n"; // 43 bytes each
        return text;
    }
    std::shared_ptr<const Snapshot> snapshot_ = snapshot_of("home.example", zone());
};

TEST_F(EdnsAnswers, OptOnlyInReplyToOpt) {
    EXPECT_EQ(ask(*snapshot_, {"home.example"}).opt(), nullptr);
    const Message message = ask_with({});
    ASSERT_NE(message.opt(), nullptr);
    EXPECT_EQ(message.opt()->owner, ".");
    EXPECT_EQ(message.opt()->rclass, 1232);
    EXPECT_EQ(message.opt()->ttl, 0u);
    EXPECT_TRUE(message.opt()->rdata.empty());
}

TEST_F(EdnsAnswers, OptComesWithErrorsToo) {
    EXPECT_NE(ask(*snapshot_, {"example.net", type::A, Edns0{}}).opt(), nullptr);
    EXPECT_NE(ask(*snapshot_, {"no.home.example", type::A, Edns0{}}).opt(), nullptr);
}

TEST_F(EdnsAnswers, EchoesDoAndNoOtherFlag) {
    EXPECT_EQ(ask_with({1232, 0xffff}).opt()->ttl, 0x8000u);
    EXPECT_EQ(ask_with({1232, 0x7fff}).opt()->ttl, 0u);
}

TEST_F(EdnsAnswers, UnknownOptionsAreIgnored) {
    const Message message =
        ask_with({1232, 0, 0, {0xff, 0xf0, 0, 2, 1, 2, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}});
    EXPECT_EQ(message.rcode(), 0);
    EXPECT_TRUE(message.opt()->rdata.empty());
}

TEST_F(EdnsAnswers, OptionsMustBeWhole) {
    EXPECT_EQ(ask_with({1232, 0, 0, {0, 10, 0, 8, 1}}).rcode(), 1);
    EXPECT_EQ(ask_with({1232, 0, 0, {0, 10, 0}}).rcode(), 1);
}

TEST_F(EdnsAnswers, OtherVersionsAreBadvers) {
    for (const std::uint8_t version : {1, 100, 255}) {
        const Message message = ask_with({1232, 0x8000, version});
        EXPECT_EQ(message.rcode(), 16);
        EXPECT_EQ(message.opt()->ttl, 0x01008000u); // version 0 is what we speak
        EXPECT_EQ(message.qname, "home.example");
        EXPECT_TRUE(message.sections[0].empty());
    }
}

TEST_F(EdnsAnswers, TwoOptsOrAnOwnerAreFormerr) {
    Wire request = make_query({"home.example", type::A, Edns0{}});
    const Wire opt(request.end() - 11, request.end());
    request.insert(request.end(), opt.begin(), opt.end());
    request[11] = 2;
    EXPECT_EQ(read_message(answer_bytes(*snapshot_, request)).rcode(), 1);
    request = make_query({"home.example"});
    request[11] = 1;
    request.insert(request.end(), {1, 'a'});
    request.insert(request.end(), opt.begin(), opt.end());
    EXPECT_EQ(read_message(answer_bytes(*snapshot_, request)).rcode(), 1);
}

TEST_F(EdnsAnswers, SizesAreHeldToWhatTheClientTakes) {
    // 12 + 18 + 20 * 43 + 11 = 901 bytes.
    const auto fits = [&](std::uint16_t size) {
        const Message message = ask_with({size}, type::TXT);
        EXPECT_LE(message.size, std::max<std::size_t>(512, size));
        return !message.has(flag_tc);
    };
    EXPECT_TRUE(fits(1232));
    EXPECT_TRUE(fits(65535));
    EXPECT_TRUE(fits(901));
    EXPECT_FALSE(fits(900));
    EXPECT_FALSE(fits(512));
    EXPECT_FALSE(fits(0)); // means 512 (RFC 6891 section 6.2.3)
    EXPECT_TRUE(ask(*snapshot_, {"home.example", type::TXT}).has(flag_tc));
}

} // namespace
} // namespace p2prc::edge::dns::testing
