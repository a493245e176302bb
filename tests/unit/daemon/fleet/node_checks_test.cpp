// What a node finds out about its own machine.
#include "daemon/fleet/node_checks.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace p2prc::daemon {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;

TEST(NodeChecks, ADiskIsFullBeforeNothingFits) {
    EXPECT_EQ(check_disk(5000 * mebibyte, 10'000 * mebibyte).state, CheckState::Ok);
    EXPECT_EQ(check_disk(1000 * mebibyte, 100'000 * mebibyte).state, CheckState::Warn);
    EXPECT_EQ(check_disk(5000 * mebibyte, 1'000'000 * mebibyte).state, CheckState::Ok) << "5 GB are enough";
    const auto full = check_disk(12 * mebibyte, 100'000 * mebibyte);
    EXPECT_EQ(full.state, CheckState::Fail);
    EXPECT_THAT(full.detail, HasSubstr("12 MiB"));
    EXPECT_EQ(check_disk(1000 * mebibyte, 100'000 * mebibyte),
              check_disk(1010 * mebibyte, 100'000 * mebibyte))
        << "each change goes to every node";
    EXPECT_EQ(check_disk(4000 * mebibyte, 10'000 * mebibyte), check_disk(3000 * mebibyte, 10'000 * mebibyte));
}

TEST(NodeChecks, AClockThatIsAnotherThanTheRoots) {
    EXPECT_EQ(check_clock(2s).state, CheckState::Ok);
    EXPECT_EQ(check_clock(-59s).state, CheckState::Ok);
    const auto behind = check_clock(-3h);
    EXPECT_EQ(behind.state, CheckState::Fail);
    EXPECT_THAT(behind.detail, HasSubstr("3 h behind the root's"));
    EXPECT_THAT(check_clock(24h * 1000).detail, HasSubstr("1000 days ahead of the root's"));
}

TEST(NodeChecks, SettingsThatAreNotInForce) {
    CheckSubjects subjects;
    EXPECT_TRUE(check_node(subjects).empty());
    subjects.settings_error = "/etc/p2prc/p2prcd.toml:3: log: 'loud' is none of \"error\"";
    const auto checks = check_node(subjects);
    ASSERT_EQ(checks.size(), 1U);
    EXPECT_EQ(checks[0].state, CheckState::Warn);
    EXPECT_THAT(checks[0].detail, HasSubstr("p2prcd.toml:3"));
}

TEST(NodeChecks, LimitsThatNobodyEnforces) {
    EXPECT_EQ(check_limits({}, false).state, CheckState::Ok);
    EXPECT_EQ(check_limits({"web"}, true).state, CheckState::Ok);
    const auto check = check_limits({"hog", "web"}, false);
    EXPECT_EQ(check.state, CheckState::Warn) << "what runs runs";
    EXPECT_THAT(check.detail, HasSubstr("hog, web"));
}

net::Listener listener(const char* address, std::uint16_t port, std::uint64_t cgroup) {
    net::Listener result;
    result.address = *net::Address::parse(address);
    result.port = port;
    result.cgroup = cgroup;
    return result;
}

TEST(NodeChecks, APortThatAnotherProgramHolds) {
    const auto unit_of = [](std::uint64_t cgroup) -> std::string {
        return cgroup == 1 ? "init.scope" : cgroup == 2 ? "p2prc-edge.service" : "apache2.service";
    };
    const auto check = [&](std::vector<net::Listener> listeners) {
        return check_port(443, listeners, unit_of);
    };
    EXPECT_EQ(check({}).state, CheckState::Ok) << "that nobody has it is said of the edge";
    EXPECT_EQ(check({listener("::", 443, 1)}).state, CheckState::Ok) << "systemd's, of a socket unit";
    EXPECT_EQ(check({listener("0.0.0.0", 443, 2)}).state, CheckState::Ok);
    EXPECT_EQ(check({listener("127.0.0.53", 443, 3)}).state, CheckState::Ok) << "in nobody's way";
    EXPECT_EQ(check({listener("0.0.0.0", 80, 3)}).state, CheckState::Ok);
    const auto held = check({listener("0.0.0.0", 443, 3)});
    EXPECT_EQ(held.state, CheckState::Fail);
    EXPECT_THAT(held.detail, HasSubstr("apache2.service"));
}

TEST(NodeChecks, APublicAddressThatIsElsewhere) {
    const std::vector<net::Address> here{*net::Address::parse("10.16.0.5"),
                                         *net::Address::parse("203.0.113.10")};
    EXPECT_EQ(check_public_address({"203.0.113.10", "2001:db8::1"}, here).state, CheckState::Ok);
    const auto elsewhere = check_public_address({"198.51.100.7"}, here);
    EXPECT_EQ(elsewhere.state, CheckState::Warn);
    EXPECT_THAT(elsewhere.detail, HasSubstr("198.51.100.7"));
}

TEST(NodeChecks, OnlyWhatIsAskedFor) {
    EXPECT_TRUE(check_node({}).empty());
    CheckSubjects subjects;
    subjects.state_directory = "/";
    subjects.clock_ahead = 0ms;
    subjects.acme_client = "/nowhere/uacme";
    const auto checks = to_json(check_node(subjects));
    ASSERT_EQ(checks.size(), 3U);
    EXPECT_EQ(checks[0]["subject"], "disk");
    EXPECT_EQ(checks[1]["state"], "ok");
    EXPECT_EQ(checks[2]["state"], "fail");
    EXPECT_THAT(checks[2]["detail"].get<std::string>(), HasSubstr("/nowhere/uacme"));
    CheckSubjects off;
    off.roles_off = {MachineRole::Edge};
    const auto roles = to_json(check_node(off));
    ASSERT_EQ(roles.size(), 1U);
    EXPECT_EQ(roles[0]["subject"], "edge role");
    EXPECT_EQ(roles[0]["state"], "fail");
}

} // namespace
} // namespace p2prc::daemon
