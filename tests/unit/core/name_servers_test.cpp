#include "core/name_servers.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

TEST(NameServers, EachHasOneAddressOfEachFamily) {
    const std::vector<std::string> addresses{"192.0.2.1", "2001:db8::1", "192.0.2.2", "nonsense"};
    const std::vector<NameServer> expected{{"ns1.home.example", "192.0.2.1", "2001:db8::1"},
                                           {"ns2.home.example", "192.0.2.2", ""}};
    EXPECT_EQ(name_servers("home.example", addresses), expected);
    EXPECT_TRUE(name_servers("home.example", {}).empty());
    EXPECT_EQ(name_servers("home.example", std::vector<std::string>{"2001:db8::1"}),
              (std::vector<NameServer>{{"ns1.home.example", "", "2001:db8::1"}}));
}

} // namespace
} // namespace p2prc
