// Whose a port is, with control groups in a directory of the test's own.
#include "daemon/process/port_use.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

namespace p2prc::daemon {
namespace {

net::Listener at(const char* address, std::uint16_t port, std::uint64_t cgroup) {
    return {net::Address::parse(address).value(), port, 1000, cgroup};
}

std::string lacks(std::vector<net::Listener> listeners) {
    return lacks_at_port(listeners, 8000, {7, 8}, "web").value_or("nothing");
}

TEST(PortUse, ReadyIsWhatListensAtLoopbackInItsOwnGroup) {
    EXPECT_EQ(lacks({}), "it does not listen at its port 8000");
    EXPECT_EQ(lacks({at("127.0.0.1", 8000, 7)}), "nothing");
    EXPECT_EQ(lacks({at("::1", 8000, 8)}), "nothing") << "a group that it made below its own";
    EXPECT_EQ(lacks({at("0.0.0.0", 8000, 7)}), "nothing");
    EXPECT_EQ(lacks({at("::", 8000, 7)}), "nothing");
    EXPECT_EQ(lacks({at("127.0.0.1", 8000, 0)}), "nothing") << "a kernel that does not tell";
    EXPECT_EQ(lacks({at("192.0.2.1", 8000, 7)}), "it listens at port 8000 of 192.0.2.1, not of 127.0.0.1");
    EXPECT_EQ(lacks({at("127.0.0.1", 8001, 7), at("127.0.0.1", 9000, 1)}),
              "it listens at port 8001, not at its port 8000");
    EXPECT_EQ(lacks({at("127.0.0.1", 8000, UINT64_MAX), at("127.0.0.1", 8001, 7)}),
              "port 8000 is held by another program (uid 1000), not by 'web'");
}

TEST(PortUse, OnlyOthersStandInTheWayOfAStart) {
    const std::vector<net::Listener> listeners{at("127.0.0.1", 8000, 9), at("192.0.2.1", 8001, 9),
                                               at("::", 8002, 7), at("127.0.0.1", 8003, 0)};
    EXPECT_EQ(other_at_port(listeners, 8000, {7}), &listeners[0]);
    EXPECT_EQ(other_at_port(listeners, 8001, {7}), nullptr);
    EXPECT_EQ(other_at_port(listeners, 8002, {7}), nullptr);
    EXPECT_EQ(other_at_port(listeners, 8003, {7}), nullptr);
}

TEST(PortUse, ControlGroupsAreThoseOfTheUnitAndBelow) {
    const net::TemporaryDirectory root;
    EXPECT_TRUE(control_groups("web", root.path()).empty());
    for (const char* hierarchy : {"unified", "."}) {
        const auto group = root.path() / hierarchy / "p2prc.slice/p2prc-web.service";
        std::filesystem::create_directories(group / "payload/deeper");
        EXPECT_EQ(control_groups("web", root.path()),
                  (std::set{net::cgroup_id(group).value(), net::cgroup_id(group / "payload").value(),
                            net::cgroup_id(group / "payload/deeper").value()}))
            << hierarchy;
    }
}

} // namespace
} // namespace p2prc::daemon
