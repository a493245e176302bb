#include "edge/dns_endpoints.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

using namespace p2prc;
using namespace p2prc::edge;

namespace {

std::vector<net::Address> addresses(std::initializer_list<std::string_view> all) {
    std::vector<net::Address> list;
    for (const auto text : all)
        list.push_back(net::Address::parse(text).value());
    return list;
}

std::string chosen(std::initializer_list<std::string_view> own,
                   std::initializer_list<std::string_view> published) {
    std::string text;
    for (const auto& address : choose_dns_addresses(addresses(own), addresses(published)))
        text += (text.empty() ? "" : " ") + address.text();
    return text;
}

TEST(DnsAddresses, GlobalOnesWhereThePublishedOneIsAmongThem) {
    EXPECT_EQ(chosen({"127.0.0.1", "192.168.1.2", "8.8.4.4", "8.8.8.8", "169.254.1.1"}, {"8.8.8.8"}),
              "8.8.4.4 8.8.8.8");
    EXPECT_EQ(chosen({"8.8.8.8", "192.168.1.2", "8.8.8.8"}, {}), "8.8.8.8");
}

TEST(DnsAddresses, PrivateOnesWhereThereIsNoOther) {
    EXPECT_EQ(chosen({"127.0.0.1", "10.0.0.2"}, {"8.8.8.8"}), "10.0.0.2");
}

// A reserved address of a cloud arrives at the private "anchor" beside another global address.
TEST(DnsAddresses, PrivateOnesTooWhereThePublishedOneIsOnNoInterface) {
    EXPECT_EQ(chosen({"8.8.8.8", "10.16.0.5", "127.0.0.1"}, {"9.9.9.9"}), "8.8.8.8 10.16.0.5");
}

TEST(DnsAddresses, EachFamilyByItself) {
    EXPECT_EQ(chosen({"8.8.8.8", "10.16.0.5", "2606:4700::1", "fd00::1", "fe80::1", "::1"}, {"9.9.9.9"}),
              "2606:4700::1 8.8.8.8 10.16.0.5");
}

} // namespace
