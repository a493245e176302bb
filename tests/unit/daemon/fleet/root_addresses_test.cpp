// Where a member looks for its root.
#include "daemon/fleet/root_addresses.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::daemon {
namespace {

using Json = nlohmann::json;
using Texts = std::vector<std::string>;

net::Address address(const char* text) {
    return net::Address::parse(text).value();
}

Texts texts(const std::vector<net::Endpoint>& endpoints) {
    Texts list;
    for (const auto& endpoint : endpoints)
        list.push_back(endpoint.text());
    return list;
}

struct RootAddresses : testing::Test {
    RootReference root{std::string(64, 'a'),
                       "home.example",
                       {{address("203.0.113.10"), 443}, {address("192.168.1.5"), 443}}};
    FleetRecord fleet{.id = "", .zone = "home.example", .root = "attic", .public_ips = {"203.0.113.77"}};
    Json info{{"private_addresses", {"192.168.1.9", "172.17.0.1"}}};
    std::vector<net::Address> here{address("192.168.1.23"), address("172.17.0.1")};
};

TEST_F(RootAddresses, AnOldTokenIsNoHindrance) {
    EXPECT_EQ(texts(root_endpoints(root, &fleet, &info, here, 443)),
              (Texts{"203.0.113.77:443", "203.0.113.10:443", "192.168.1.5:443", "192.168.1.9:443"}))
        << "the bridge of containers is this machine's own";
}

TEST_F(RootAddresses, BeforeTheFirstLinkThereIsTheTokenAlone) {
    const Texts of_token{"203.0.113.10:443", "192.168.1.5:443"};
    EXPECT_EQ(texts(root_endpoints(root, nullptr, nullptr, here, 443)), of_token);
    fleet.zone = "former.example";
    EXPECT_EQ(texts(root_endpoints(root, &fleet, &info, here, 443)), of_token);
}

TEST_F(RootAddresses, WhatARootSaysIsBounded) {
    Texts many{"127.0.0.1", "203.0.113.99", "fd00::1", "no address", "10.0.0.1\n"};
    for (int i = 0; i < 100; ++i)
        many.push_back("10.1.0." + std::to_string(i));
    const Json lies{{"private_addresses", many}};
    const auto endpoints = texts(root_endpoints(root, &fleet, &lies, here, 443));
    ASSERT_EQ(endpoints.size(), 3 + most_root_addresses);
    EXPECT_EQ(endpoints[3], "10.1.0.0:443");
    const Json other{{"private_addresses", 7}};
    EXPECT_EQ(root_endpoints(root, &fleet, &other, here, 443).size(), 3U);
}

TEST_F(RootAddresses, PrivateOnesAreThoseOfALocalNetwork) {
    const std::vector<net::Address> all{address("203.0.113.10"), address("192.168.1.5"), address("fd00::5"),
                                        address("2001:db8::1")};
    EXPECT_EQ(private_addresses(all), std::vector{address("192.168.1.5")});
}

} // namespace
} // namespace p2prc::daemon
