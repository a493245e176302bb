// The shipped bus policy, on a real dbus-daemon with the other rules of a system bus around it.
#include "dbus/bus.h"
#include "tests/unit/support/private_bus.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

namespace p2prc::dbus {
namespace {

// Users that every Debian has, in the place of ours.
constexpr const char* edge_user = "daemon";
constexpr const char* connector_user = "games";
constexpr const char* other_user = "nobody";

// What /usr/share/dbus-1/system.conf and the file of systemd say, in short.
constexpr const char* system_rules = R"(
<policy context="default">
  <allow user="*"/><deny own="*"/><deny send_type="method_call"/>
  <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/><allow receive_type="method_return"/>
  <allow receive_type="error"/><allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
</policy>)";
constexpr const char* systemd_rules = R"(
<policy user="root"><allow own="org.freedesktop.systemd1"/></policy>
<policy context="default">
  <allow send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.DBus.Properties"/>
  <allow send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.Manager"/>
</policy>)";

std::string shipped_policy() {
    std::stringstream text;
    text << std::ifstream(test::source_path("dbus/org.p2prc1.conf")).rdbuf();
    std::string policy = text.str();
    policy = policy.substr(policy.find("<busconfig>") + 11);
    policy = policy.substr(0, policy.find("</busconfig>"));
    policy = std::regex_replace(policy, std::regex("\"p2prc-edge\""), "\"" + std::string(edge_user) + "\"");
    return std::regex_replace(policy, std::regex("\"p2prc-connector\""),
                              "\"" + std::string(connector_user) + "\"");
}

class PolicyTest : public ::testing::TestWithParam<bool> {
  protected:
    PolicyTest()
        : bus(GetParam() ? std::string(system_rules) + shipped_policy() + systemd_rules
                         : std::string(system_rules) + systemd_rules + shipped_policy()) {}

    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root to connect as other users";
        // Two connections: a rule for one name counts for all names of its owner.
        server = bus.connect();
        manager = bus.connect();
        ASSERT_TRUE(bus.run(server->request_name("org.p2prc1")));
        ASSERT_TRUE(bus.run(manager->request_name("org.freedesktop.systemd1")));
    }

    // Whether the bus lets the call through.
    bool may(const std::string& user, const std::string& call) {
        const std::string output = bus.run_as(user, "call " + call);
        if (output.find("Access denied") != std::string::npos) return false;
        // Delivered: nobody has such an object.
        EXPECT_TRUE(output.find("Unknown") != std::string::npos || output.find("exit 0") != std::string::npos)
            << user << " " << call << ": " << output;
        return true;
    }
    bool may_p2prc(const std::string& user, const std::string& interface, const std::string& member) {
        return may(user, "org.p2prc1 /org/p2prc1 " + interface + " " + member);
    }

    test::PrivateBus bus;
    std::unique_ptr<Bus> server;
    std::unique_ptr<Bus> manager;
};

TEST_P(PolicyTest, EverybodyMayAskAndNobodyElseMayBeTheService) {
    for (const char* interface : {"Manager", "Process", "Node", "Domain"})
        EXPECT_TRUE(may_p2prc(other_user, std::string("org.p2prc1.") + interface, "X")) << interface;
    EXPECT_TRUE(may_p2prc(other_user, "org.freedesktop.DBus.Properties", "GetAll s x"));
    EXPECT_TRUE(may_p2prc(other_user, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"));
    EXPECT_FALSE(may_p2prc(other_user, "org.freedesktop.DBus.Properties", "Set ssv a b s c"));
    EXPECT_FALSE(may_p2prc(other_user, "org.p2prc1.Edge", "GetRoutes"));
    EXPECT_FALSE(may_p2prc(other_user, "org.p2prc1.Connector", "GetMappings"));
    const std::string own =
        "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su org.p2prc1 2";
    EXPECT_FALSE(may(other_user, own));
    EXPECT_FALSE(may(edge_user, own));
}

TEST_P(PolicyTest, TheEdgeReachesItsInterfaceAlone) {
    EXPECT_TRUE(may_p2prc(edge_user, "org.p2prc1.Edge", "GetRoutes"));
    for (const char* interface : {"org.p2prc1.Connector", "org.p2prc1.Manager", "org.p2prc1.Process",
                                  "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Peer"})
        EXPECT_FALSE(may_p2prc(edge_user, interface, "X")) << interface;
    EXPECT_FALSE(may_p2prc(edge_user, "org.freedesktop.DBus.Properties", "GetAll s x"));
}

TEST_P(PolicyTest, TheConnectorReachesItsInterfaceAlone) {
    EXPECT_TRUE(may_p2prc(connector_user, "org.p2prc1.Connector", "GetMappings"));
    for (const char* interface : {"org.p2prc1.Edge", "org.p2prc1.Manager", "org.p2prc1.Process"})
        EXPECT_FALSE(may_p2prc(connector_user, interface, "X")) << interface;
}

TEST_P(PolicyTest, NeitherReachesTheRestOfTheBus) {
    const std::string systemd = "org.freedesktop.systemd1 /org/freedesktop/systemd1 ";
    EXPECT_TRUE(may(other_user, systemd + "org.freedesktop.systemd1.Manager StartUnit"));
    for (const char* user : {edge_user, connector_user}) {
        EXPECT_FALSE(may(user, systemd + "org.freedesktop.systemd1.Manager StartUnit"));
        EXPECT_FALSE(may(user, systemd + "org.freedesktop.DBus.Properties GetAll s x"));
        EXPECT_FALSE(may(user, "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ListNames"));
        EXPECT_TRUE(
            may(user,
                "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetNameOwner s org.p2prc1"));
    }
}

// Whichever file the bus reads first.
INSTANTIATE_TEST_SUITE_P(Order, PolicyTest, ::testing::Bool());

} // namespace
} // namespace p2prc::dbus
