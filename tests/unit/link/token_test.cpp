#include "link/token.h"

#include <gtest/gtest.h>

namespace p2prc::link {
namespace {

JoinToken example() {
    JoinToken token;
    token.addresses = {*net::Endpoint::parse("203.0.113.1:443"), *net::Endpoint::parse("[2001:db8::1]:443")};
    token.zone = "home.example";
    token.root_key = std::string(64, 'a');
    token.id = "0123456789abcdef";
    token.secret.fill(0x42);
    token.expires = 1'800'000'000;
    return token;
}

TEST(JoinToken, RoundTrips) {
    const auto text = encode_token(example());
    ASSERT_TRUE(text);
    EXPECT_TRUE(text->starts_with("p2prc1_"));
    EXPECT_EQ(decode_token(*text), example());
    EXPECT_EQ(decode_token("  " + *text + "\n"), example());
}

TEST(JoinToken, EveryChangeIsNoticed) {
    const auto text = *encode_token(example());
    for (std::size_t i = 7; i < text.size(); ++i) {
        auto changed = text;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        const auto token = decode_token(changed);
        EXPECT_TRUE(!token || *token == example()) << i; // the last character has bits that say nothing
        EXPECT_FALSE(decode_token(text.substr(0, i)));
    }
}

TEST(JoinToken, SaysWhatIsWrong) {
    EXPECT_NE(decode_token("hello").error().message.find("not a join token"), std::string::npos);
    EXPECT_NE(decode_token("p2prc2_AAAA").error().message.find("another version"), std::string::npos);
    EXPECT_NE(decode_token("p2prc1_AAAA").error().message.find("damaged"), std::string::npos);
    EXPECT_FALSE(decode_token(""));
}

TEST(JoinToken, AZoneIsAName) {
    for (const auto* zone : {"home.example\xff", "HOME.example", "home.example\x1b[2J", "a b"}) {
        auto token = example();
        token.zone = zone;
        const auto text = encode_token(token);
        ASSERT_TRUE(text);
        EXPECT_FALSE(decode_token(*text)) << zone;
    }
}

TEST(JoinToken, NeedsAddressAndKey) {
    auto token = example();
    token.addresses.clear();
    EXPECT_FALSE(encode_token(token));
    token = example();
    token.root_key = "short";
    EXPECT_FALSE(encode_token(token));
}

} // namespace
} // namespace p2prc::link
