#include "process/deployer.h"
#include "tests/unit/net/temporary_directory.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class DeployerTest : public testing::Test {
  protected:
    DeployerTest() {
        for (const auto& place : places)
            make_directory(place);
    }

    static void make_directory(const fs::path& path) {
        fs::create_directories(path);
        chmod(path.c_str(), 0755);
    }
    static void write(const fs::path& path, std::string_view text, mode_t mode) {
        std::ofstream(path) << text;
        chmod(path.c_str(), mode);
    }
    void install(const std::string& name, const std::string& settings = {}, std::size_t place = 0) {
        write(places[place] / name, "#!/bin/sh\n", 0755);
        if (!settings.empty()) write(places[place] / (name + ".toml"), settings, 0644);
    }
    Result<Deployer> find(std::string_view name) const { return find_deployer(places, name, getuid()); }
    std::string refusal(std::string_view name) const {
        const auto found = find(name);
        return found ? "" : found.error().message;
    }

    net::TemporaryDirectory temporary;
    const fs::path& directory = temporary.path();
    const std::vector<fs::path> places{directory / "etc", directory / "usr"};
};

TEST_F(DeployerTest, TheAdministratorsWins) {
    install("script", "", 1);
    EXPECT_EQ(find("script")->program, places[1] / "script");
    install("script");
    const auto found = find("script");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, (Deployer{.name = "script", .program = places[0] / "script"}));
    EXPECT_EQ(found->timeout, std::chrono::minutes(15));
    EXPECT_TRUE(found->network);
}

TEST_F(DeployerTest, OneThatIsNotThereIsToldWhatIs) {
    EXPECT_EQ(find("git").error().hint.find("it has none; deployers are the programs in "), 0U);
    install("script", "", 1);
    install("git", "needs = [\"/usr/bin/git\"]\n");
    EXPECT_EQ(find("gti").error().message, "this machine has no deployer 'gti'");
    EXPECT_EQ(find("scrip").error().hint,
              fmt::format("did you mean 'script'? it has git, script; deployers are "
                          "the programs in {} and in {}",
                          places[0].string(), places[1].string()));
    EXPECT_EQ(find("elsewhere").error().hint.find("it has git, script; deployers are"), 0U);
}

TEST_F(DeployerTest, ItsSettings) {
    install("nix", "as = 'root'\nnetwork = false\ngroups = ['nix-users']\nneeds = ['/', '/no/such']\n"
                   "timeout = '90s'\napi = 1\n");
    const auto found = find("nix");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->as, DeployerClass::Root);
    EXPECT_FALSE(found->network);
    EXPECT_THAT(found->groups, testing::ElementsAre("nix-users"));
    EXPECT_EQ(found->timeout, std::chrono::seconds(90));
    EXPECT_THAT(missing_needs(*found), testing::ElementsAre("/no/such"));
}

TEST_F(DeployerTest, WrongSettings) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"as = 'nobody'", "x.toml:1: as: 'nobody' is none of"},
        {"as = 1", "x.toml:1: as: must be a string"},
        {"netwrk = true", "x.toml:1: netwrk: unknown key"},
        {"network = 'no'", "x.toml:1: network: must be"},
        {"groups = ['a b']", "x.toml:1: groups: 'a b' is not a name"},
        {"groups = ['']", "x.toml:1: groups: '' is not a name"},
        {"needs = ['bin/x']", "x.toml:1: needs: 'bin/x' is not an absolute path"},
        {"timeout = 'soon'", "x.toml:1: timeout: is not a length of time"},
        {"timeout = '7h'", "x.toml:1: timeout: is longer than 6h"},
        {"as = 'later'\napi = 2", "x.toml:2: api: this version"},
        {"as =", "x.toml:1"},
    };
    for (const auto& [text, message] : cases) {
        install("x", text);
        EXPECT_THAT(refusal("x"), HasSubstr(message)) << text;
    }
}

TEST_F(DeployerTest, WhatOthersCouldChange) {
    install("x", "as = 'root'");
    ASSERT_TRUE(find("x"));
    const auto refused = find_deployer(places, "x", getuid() + 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotPermitted);
    for (const auto& path : {places[0] / "x", places[0] / "x.toml", places[0]}) {
        struct stat before{};
        ASSERT_EQ(stat(path.c_str(), &before), 0);
        for (const mode_t more : {S_IWGRP, S_IWOTH}) {
            chmod(path.c_str(), before.st_mode | more);
            EXPECT_THAT(refusal("x"), HasSubstr("could be changed by others than root")) << path;
        }
        chmod(path.c_str(), before.st_mode);
    }
    EXPECT_TRUE(find("x"));
}

TEST_F(DeployerTest, WhatOthersAreTold) {
    install("image", "as = 'builder'\nneeds = ['/no/such']\n");
    install("image", "", 1);
    install("root", "as = 'root'", 1);
    install("script", "", 1);
    install("wrong", "as = 'nobody'");
    write(places[0] / "README", "", 0644);
    const auto report = [this](RemoteSpin policy, std::vector<std::string> admitted) {
        return report_deployers(places, policy, admitted, getuid());
    };
    const auto all = report(RemoteSpin::Sandboxed, {});
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0], (DeployerReport{"image", DeployerClass::Builder, false, {"/no/such"}, ""}));
    EXPECT_EQ(all[1], (DeployerReport{"root", DeployerClass::Root, false, {}, ""}));
    EXPECT_EQ(all[2], (DeployerReport{"script", DeployerClass::Process, true, {}, ""}));
    EXPECT_EQ(all[3].name, "wrong");
    EXPECT_THAT(all[3].problem, HasSubstr("'nobody' is none of"));
    EXPECT_TRUE(report(RemoteSpin::Sandboxed, {"image"})[0].admitted);
    EXPECT_TRUE(report(RemoteSpin::Any, {})[1].admitted);
    EXPECT_FALSE(report(RemoteSpin::No, {"image"})[2].admitted);
    EXPECT_EQ(report_deployers({}, RemoteSpin::Any, {}), std::vector<DeployerReport>());
}

TEST_F(DeployerTest, WhatIsNoProgram) {
    write(places[0] / "x", "", 0644);
    EXPECT_THAT(refusal("x"), HasSubstr("is not executable"));
    fs::create_symlink("/bin/sh", places[0] / "link");
    EXPECT_THAT(refusal("link"), HasSubstr("is not a plain file"));
    EXPECT_THAT(refusal("../etc/x"), HasSubstr("is not a name of a deployer"));
    EXPECT_THAT(refusal("x.toml"), HasSubstr("is not a name of a deployer"));
    const auto missing = find("nowhere");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
}

} // namespace
} // namespace p2prc::process
