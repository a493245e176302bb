#include "daemon/fleet/ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace p2prc::daemon {
namespace {

net::Listener at(const char* address, std::uint16_t port) {
    return {.address = *net::Address::parse(address), .port = port};
}

Result<void> check(std::vector<net::Listener> listeners) {
    return check_edge_ports(listeners,
                            [](const net::Listener&) { return std::string("nginx (pid 8, x.service)"); });
}

TEST(EdgePorts, WhoHoldsOneIsNamed) {
    for (const auto& listener :
         {at("0.0.0.0", 443), at("::", 80), at("127.0.0.1", 443), at("203.0.113.1", 53)}) {
        const auto held = check({at("0.0.0.0", 22), listener});
        ASSERT_FALSE(held);
        EXPECT_EQ(held.error().code, ErrorCode::Conflict);
        EXPECT_THAT(held.error().message, testing::HasSubstr("port " + std::to_string(listener.port)));
        EXPECT_THAT(held.error().message, testing::HasSubstr("nginx (pid 8, x.service)"));
        EXPECT_THAT(held.error().hint, testing::HasSubstr("p2prc init"));
    }
}

TEST(EdgePorts, AResolverForTheMachineAloneIsNotInTheWay) {
    EXPECT_TRUE(check({at("127.0.0.53", 53), at("::1", 53), at("0.0.0.0", 22), at("0.0.0.0", 8080)}));
}

} // namespace
} // namespace p2prc::daemon
