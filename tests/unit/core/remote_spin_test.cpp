#include "core/remote_spin.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

TEST(RemoteSpinPolicy, SandboxedRefusesUserAndCredentials) {
    ProcessSpec spec;
    spec.name = "calendar";
    EXPECT_TRUE(check_remote_spin(RemoteSpin::Sandboxed, spec, "home1"));
    spec.run.user = "root";
    const auto refused = check_remote_spin(RemoteSpin::Sandboxed, spec, "home1");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotPermitted);
    EXPECT_NE(refused.error().message.find("node 'home1'"), std::string::npos);
    EXPECT_NE(refused.error().message.find("run.user"), std::string::npos);
    EXPECT_TRUE(check_remote_spin(RemoteSpin::Any, spec, "home1"));
    spec.run.user.clear();
    spec.run.credentials = {{"shadow", "/etc/shadow"}};
    EXPECT_FALSE(check_remote_spin(RemoteSpin::Sandboxed, spec, "home1"));
    spec.run.credentials.clear();
    spec.ready.probe = Probe{.kind = Probe::Kind::Notify};
    EXPECT_NE(check_remote_spin(RemoteSpin::Sandboxed, spec, "home1").error().message.find("ready.notify"),
              std::string::npos);
    spec.ready.probe->kind = Probe::Kind::Port;
    EXPECT_TRUE(check_remote_spin(RemoteSpin::Sandboxed, spec, "home1"));
}

TEST(RemoteSpinPolicy, NoRefusesAll) {
    EXPECT_EQ(check_remote_spin(RemoteSpin::No, ProcessSpec(), "home1").error().code,
              ErrorCode::NotPermitted);
}

// What it needs, and no more.
TEST(RemoteSpinPolicy, ItIsSaidWhatToWriteOnWhichNode) {
    ProcessSpec spec;
    const auto hint = [&spec](RemoteSpin policy) {
        return check_remote_spin(policy, spec, "home1").error().hint;
    };
    EXPECT_EQ(hint(RemoteSpin::No),
              "run p2prc spin on home1 itself, or let its owner write spin = \"sandboxed\" below [remote] in "
              "/etc/p2prc/p2prcd.toml on home1 (then: systemctl reload p2prcd)");
    spec.run.user = "anna";
    const auto* any = "spin = \"any\" below [remote] in /etc/p2prc/p2prcd.toml on home1";
    EXPECT_NE(hint(RemoteSpin::No).find(any), std::string::npos);
    EXPECT_EQ(hint(RemoteSpin::Sandboxed).find("leave run.user out, or run p2prc spin on home1 itself"), 0U);
    EXPECT_NE(hint(RemoteSpin::Sandboxed).find(any), std::string::npos);
    spec.deploy.strategy = "image";
    const auto deployer = [&spec](DeployerClass as) {
        return check_remote_deployer(RemoteSpin::Sandboxed, {}, as, spec, "home1").error().hint;
    };
    EXPECT_NE(deployer(DeployerClass::Root).find(any), std::string::npos);
    EXPECT_NE(deployer(DeployerClass::Builder)
                  .find("add \"image\" to deployers below [remote] in /etc/p2prc/p2prcd.toml on home1"),
              std::string::npos);
}

TEST(RemoteSpinPolicy, AWordOfALaterVersionRefusesAll) {
    for (const auto policy : {RemoteSpin::Sandboxed, RemoteSpin::Any, RemoteSpin::No})
        EXPECT_EQ(remote_spin_of(remote_spin_name(policy)), policy);
    EXPECT_EQ(remote_spin_of("audited"), RemoteSpin::No);
}

TEST(RemoteSpin, ABuilderIsAdmittedByItsName) {
    ProcessSpec spec;
    spec.name = "web";
    spec.deploy.strategy = "image";
    const std::vector<std::string> none, admitted{"image"};
    EXPECT_TRUE(check_remote_deployer(RemoteSpin::Sandboxed, none, DeployerClass::Process, spec, "home1"));
    EXPECT_TRUE(check_remote_deployer(RemoteSpin::Any, none, DeployerClass::Builder, spec, "home1"));
    EXPECT_TRUE(
        check_remote_deployer(RemoteSpin::Sandboxed, admitted, DeployerClass::Builder, spec, "home1"));
    EXPECT_FALSE(check_remote_deployer(RemoteSpin::Sandboxed, admitted, DeployerClass::Root, spec, "home1"));
    const auto refused =
        check_remote_deployer(RemoteSpin::Sandboxed, none, DeployerClass::Builder, spec, "home1");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotPermitted);
    EXPECT_NE(refused.error().message.find("the deployer 'image'"), std::string::npos);
    EXPECT_NE(refused.error().message.find("[remote] deployers"), std::string::npos);
    spec.deploy.strategy.clear();
    spec.run.root = "/srv/jail";
    EXPECT_FALSE(check_remote_spin(RemoteSpin::Sandboxed, spec, "home1"));
    EXPECT_TRUE(check_remote_spin(RemoteSpin::Any, spec, "home1"));
}

} // namespace
} // namespace p2prc
