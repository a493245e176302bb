#include "link/half_open.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace p2prc::link {
namespace {

class HalfOpenTest : public testing::Test {
  protected:
    HalfOpen::Id come(const std::string& address) {
        const auto id = half_open.arrive([this, name = address] { dropped.insert(name); });
        half_open.name(id, *net::Address::parse(address));
        return id;
    }
    static std::string of_provider(int network, int host) {
        return "2001:db8:" + std::to_string(network) + ":" + std::to_string(host) + "00::1";
    }

    HalfOpen half_open{{.all = 8, .of_network = 3, .remembered = 2}};
    std::multiset<std::string> dropped;
};

TEST_F(HalfOpenTest, TheOldestOfTheLargestNetworkMakesRoom) {
    come("192.0.2.1"); // older than all
    for (int i = 1; i <= 7; ++i)
        come(of_provider(1, i));
    EXPECT_TRUE(dropped.empty());
    come("198.51.100.1");
    EXPECT_EQ(dropped, std::multiset<std::string>{of_provider(1, 1)});
    for (int i = 11; i <= 30; ++i)
        come(of_provider(1, i));
    EXPECT_FALSE(dropped.contains("192.0.2.1"));
    EXPECT_FALSE(dropped.contains("198.51.100.1"));
    EXPECT_EQ(half_open.size(), 8U);
}

TEST_F(HalfOpenTest, OneNetworkHasFewPlaces) {
    for (int i = 1; i <= 4; ++i)
        come("192.0.2." + std::to_string(i));
    EXPECT_EQ(dropped, std::multiset<std::string>{"192.0.2.1"});
    // Of an IPv6 customer all /64s count together.
    for (const auto* address : {"2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:fe::1"})
        come(address);
    EXPECT_EQ(dropped, (std::multiset<std::string>{"192.0.2.1", "2001:db8:0:1::1"}));
}

TEST_F(HalfOpenTest, AMembersAddressMakesRoomLast) {
    half_open.remember(*net::Address::parse("192.0.2.77"));
    come("192.0.2.77");
    // Neither its neighbours nor strangers of as many networks as there are places.
    for (int i = 1; i <= 9; ++i)
        come("192.0.2." + std::to_string(i));
    for (int i = 1; i <= 30; ++i)
        come("10." + std::to_string(i) + ".0.1");
    EXPECT_FALSE(dropped.contains("192.0.2.77"));
    EXPECT_EQ(half_open.size(), 8U);
}

TEST_F(HalfOpenTest, RemembersTheLatestOnly) {
    for (const auto* address : {"192.0.2.1", "198.51.100.1", "192.0.2.1", "203.0.113.1"})
        half_open.remember(*net::Address::parse(address));
    come("198.51.100.1"); // forgotten
    come("192.0.2.1");
    for (int i = 1; i <= 30; ++i)
        come("10." + std::to_string(i) + ".0.1");
    EXPECT_TRUE(dropped.contains("198.51.100.1"));
    EXPECT_FALSE(dropped.contains("192.0.2.1"));
}

TEST_F(HalfOpenTest, WhoHasLeftIsNotDropped) {
    for (int i = 0; i < 20; ++i)
        half_open.leave(come("192.0.2." + std::to_string(i)));
    EXPECT_EQ(half_open.size(), 0U);
    EXPECT_TRUE(dropped.empty());
    for (int i = 0; i < 4; ++i)
        come(of_provider(1, i));
    EXPECT_FALSE(half_open.crowded());
    come(of_provider(2, 1));
    EXPECT_TRUE(half_open.crowded());
}

TEST_F(HalfOpenTest, WithoutANameOneStillMakesRoom) {
    int silent = 0;
    for (int i = 0; i < 20; ++i)
        half_open.arrive([&] { ++silent; });
    EXPECT_EQ(silent, 12);
    come("192.0.2.1");
    for (int i = 0; i < 20; ++i)
        half_open.arrive([&] { ++silent; });
    EXPECT_EQ(silent, 33);
    EXPECT_TRUE(dropped.empty());
}

} // namespace
} // namespace p2prc::link
