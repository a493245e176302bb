#include "process/port_target.h"
#include "process/unit_names.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace p2prc::process {
namespace {

const auto loopback4 = net::Address::v4({127, 0, 0, 1});
const auto any4 = net::Address();
const auto loopback6 = net::Address::parse("::1").value();
const auto any6 = net::Address::v6({});
const auto lan = net::Address::parse("192.168.1.5").value();

constexpr std::uint64_t ours = 100, below_ours = 101, foreign = 900;
const UnitSockets sockets_of_unit{{ours, below_ours}, 1000};

net::Listener at(const net::Address& address, std::uint16_t port, std::uint64_t group,
                 std::uint32_t uid = 0) {
    return {address, port, uid, group, false};
}

PortTarget look(std::vector<net::Listener> listeners) {
    return port_target(listeners, 8110, sockets_of_unit, "pub",
                       [](const net::Listener&) { return "python3 (uid 0)"; });
}

TEST(PortTarget, IsTheListenerOfItsUnit) {
    for (const auto& address : {loopback4, any4, any6})
        EXPECT_EQ(look({at(address, 8110, ours), at(loopback4, 8111, foreign)}).address, "127.0.0.1")
            << address.text();
    EXPECT_EQ(look({at(loopback4, 8110, below_ours)}).address, "127.0.0.1");
    EXPECT_EQ(look({at(loopback6, 8110, ours)}).address, "::1");
    EXPECT_EQ(look({at(loopback4, 8110, ours)}).groups, sockets_of_unit.groups);
    net::Listener only6 = at(any6, 8110, ours);
    only6.v6_only = true;
    EXPECT_EQ(look({only6}).address, "::1");
}

TEST(PortTarget, NothingStandsInTheWayOfOneWithoutAPort) {
    EXPECT_TRUE(check_port_is_free(0, "web"));
}

TEST(PortTarget, OnlyOthersStandInTheWayOfAStart) {
    const auto check = [](const net::Listener& listener, std::uint16_t port) {
        return check_port_is_free(std::vector{listener}, port, sockets_of_unit,
                                  [](const net::Listener&) { return "python3"; });
    };
    for (const auto& address : {loopback4, any4, loopback6, any6}) {
        const auto held = check(at(address, 8110, foreign), 8110);
        ASSERT_FALSE(held);
        EXPECT_EQ(held.error().code, ErrorCode::PortTaken);
        EXPECT_EQ(held.error().message, "port 8110 is held by python3");
        EXPECT_TRUE(check(at(address, 8110, below_ours), 8110));
    }
    EXPECT_TRUE(check(at(lan, 8110, foreign), 8110));
    EXPECT_TRUE(check(at(any4, 8111, foreign), 8110));
    EXPECT_TRUE(check(at(any4, 8110, 0), 8110)) << "a kernel that does not tell";
    EXPECT_TRUE(check(at(any4, 0, foreign), 0)) << "it has no port";
}

TEST(PortTarget, IsNobodyElse) {
    const PortTarget held = look({at(loopback4, 8110, foreign)});
    EXPECT_EQ(held.address, "");
    EXPECT_TRUE(held.held);
    EXPECT_EQ(held.reason, "port 8110 is held by python3 (uid 0), not by 'pub'");
    EXPECT_EQ(look({at(loopback4, 8110, foreign), at(loopback4, 8111, ours)}).reason,
              "port 8110 is held by python3 (uid 0), not by 'pub'; 'pub' listens on port 8111");
    EXPECT_EQ(look({}).reason, "nothing listens on 127.0.0.1:8110");
    EXPECT_EQ(look({at(lan, 8110, ours)}).reason,
              "nothing listens on 127.0.0.1:8110; 'pub' listens on 192.168.1.5:8110");
    // Of two that share the port the kernel may take either (SO_REUSEPORT).
    EXPECT_EQ(look({at(loopback4, 8110, ours), at(loopback4, 8110, foreign)}).address, "");
    // An exact address is preferred to a wildcard: a stranger's exact one takes what was meant for ours.
    EXPECT_EQ(look({at(any4, 8110, ours), at(loopback4, 8110, foreign)}).address, "");
    EXPECT_EQ(look({at(any4, 8110, foreign), at(loopback4, 8110, ours)}).address, "127.0.0.1");
    // The stranger has IPv4; what is ours on ::1 is still ours.
    EXPECT_EQ(look({at(loopback4, 8110, foreign), at(loopback6, 8110, ours)}).address, "::1");
}

TEST(PortTarget, GoesByTheUserWhereTheKernelTellsNoGroup) {
    const PortTarget target = look({at(loopback4, 8110, 0, 1000)});
    EXPECT_EQ(target.address, "127.0.0.1");
    EXPECT_TRUE(target.groups.empty());
    EXPECT_EQ(look({at(loopback4, 8110, 0, 1001)}).address, "");
    // Where it tells one, the user counts for nothing.
    EXPECT_EQ(look({at(loopback4, 8110, foreign, 1000)}).address, "");
}

TEST(PortTarget, UnitsAndHoldersAreReadFromTheControlGroups) {
    net::TemporaryDirectory root;
    const auto group = root.path() / "cgroup" / process_slice / unit_name("pub");
    const auto admin = root.path() / "cgroup/system.slice/admin.service";
    std::filesystem::create_directories(group / "below");
    std::filesystem::create_directories(admin);
    std::filesystem::create_directories(root.path() / "proc/42");
    std::ofstream(group / "cgroup.procs") << "42\n";
    std::ofstream(admin / "cgroup.procs") << "42\n";
    std::ofstream(root.path() / "proc/42/comm") << "pyth\x1bon3\n";
    const auto found = unit_sockets("pub", root.path() / "cgroup", root.path() / "proc");
    EXPECT_EQ(found.groups.size(), 2U);
    EXPECT_EQ(found.uid, getuid());
    EXPECT_TRUE(unit_sockets("other", root.path() / "cgroup", root.path() / "proc").groups.empty());
    std::filesystem::create_directories(root.path() / "cgroup" / process_slice / owner_slice("den") /
                                        unit_name("other"));
    EXPECT_EQ(unit_sockets("other", root.path() / "cgroup", root.path() / "proc").groups.size(), 1U);
    net::Listener listener = at(loopback4, 1, *net::cgroup_id(admin), getuid());
    // A program chooses its own name.
    EXPECT_EQ(holder_text(listener, root.path() / "cgroup", root.path() / "proc"),
              "pyth\xef\xbf\xbdon3 (uid " + std::to_string(getuid()) + ", admin.service)");
    listener.cgroup = 0;
    EXPECT_EQ(holder_text(listener, root.path() / "cgroup", root.path() / "proc"),
              "another program (uid " + std::to_string(getuid()) + ")");
}

} // namespace
} // namespace p2prc::process
