#include "net/address.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

TEST(Address, ParsesAndPrintsBothFamilies) {
    for (const char* text : {"203.0.113.1", "0.0.0.0", "2001:db8::1", "::1", "::"}) {
        const auto address = Address::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->text(), text);
    }
    for (const char* text : {"", "203.0.113", "203.0.113.256", "[::1]", "fe80::1%eth0", "host", "1.2.3.4 "})
        EXPECT_FALSE(Address::parse(text)) << text;
}

TEST(Address, MappedIsTheSameAsPlain) {
    EXPECT_EQ(*Address::parse("::ffff:203.0.113.1"), *Address::parse("203.0.113.1"));
    EXPECT_TRUE(Address::parse("::ffff:203.0.113.1")->is_v4());
}

TEST(Address, LimitKeyIsTheSubscribersNetwork) {
    EXPECT_EQ(Address::parse("203.0.113.77")->limit_key().text(), "203.0.113.77");
    EXPECT_EQ(Address::parse("2001:db8:1:2:3:4:5:6")->limit_key().text(), "2001:db8:1:2::");
    EXPECT_EQ(Address::parse("255.255.255.255")->network(9).text(), "255.128.0.0");
    EXPECT_EQ(Address::parse("203.0.113.77")->network(32).text(), "203.0.113.77");
}

TEST(Address, KnowsWhatIsReachableFromEverywhere) {
    for (const char* text : {"203.0.113.1", "8.8.8.8", "2001:db8::1", "172.32.0.1"})
        EXPECT_TRUE(Address::parse(text)->is_global()) << text;
    for (const char* text : {"127.0.0.1", "10.1.2.3", "192.168.1.1", "172.31.0.1", "100.64.0.1",
                             "169.254.1.1", "::1", "fe80::1", "fd00::1", "224.0.0.1", "0.0.0.0", "::"})
        EXPECT_FALSE(Address::parse(text)->is_global()) << text;
    EXPECT_TRUE(Address::parse("127.8.8.8")->is_loopback());
    EXPECT_TRUE(Address::parse("::1")->is_loopback());
    for (const char* text : {"169.254.1.1", "fe80::1", "febf::1"})
        EXPECT_TRUE(Address::parse(text)->is_link_local()) << text;
    for (const char* text : {"169.253.1.1", "fec0::1", "203.0.113.1"})
        EXPECT_FALSE(Address::parse(text)->is_link_local()) << text;
}

TEST(Endpoint, ParsesAndPrints) {
    for (const char* text : {"203.0.113.1:443", "[2001:db8::1]:65535", "0.0.0.0:0"}) {
        const auto endpoint = Endpoint::parse(text);
        ASSERT_TRUE(endpoint) << text;
        EXPECT_EQ(endpoint->text(), text);
    }
    for (const char* text : {"203.0.113.1", "203.0.113.1:", "203.0.113.1:65536", "2001:db8::1:443",
                             "[203.0.113.1]:1", ":443", "[]:1", "203.0.113.1:4x", "203.0.113.1:-1"})
        EXPECT_FALSE(Endpoint::parse(text)) << text;
}

} // namespace
} // namespace p2prc::net
