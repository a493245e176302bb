#include "core/deployer_report.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

using Json = nlohmann::json;

TEST(DeployerReport, IsReadAsItWasWritten) {
    const std::vector<DeployerReport> deployers{
        {"image", DeployerClass::Builder, true, {"/usr/bin/skopeo"}, ""},
        {"open", DeployerClass::Process, false, {}, "could be changed by others"},
    };
    EXPECT_EQ(deployers_from_info({{"deployers", deployers_to_json(deployers)}}), deployers);
    EXPECT_EQ(deployers_from_info({{"deployers", Json::array()}}), std::vector<DeployerReport>());
}

TEST(DeployerReport, OfAVersionWithoutItNothingIsKnown) {
    for (const auto& info : {Json(), Json::object(), Json{{"deployers", "script"}},
                             Json{{"deployers", nullptr}}, Json{{"deployers", {{"name", "script"}}}}})
        EXPECT_EQ(deployers_from_info(info), std::nullopt) << info;
}

TEST(DeployerReport, WhatAnotherNodeSaysIsBounded) {
    auto list = Json::array({7, Json::array(), {{"name", "../x"}}, {{"name", 7}}});
    list.push_back({{"name", "later"}, {"as", "vm"}, {"admitted", "yes"}, {"missing", "/x"}, {"problem", 1}});
    for (int i = 0; i < 1000; ++i)
        list.push_back({{"name", "x" + std::to_string(i)},
                        {"as", "process"},
                        {"missing", Json(20, std::string(1000, 'y'))},
                        {"problem", "\x1b[2J" + std::string(10000, 'z')}});
    const auto read = deployers_from_info({{"deployers", std::move(list)}});
    ASSERT_TRUE(read);
    ASSERT_EQ(read->size(), most_reported_deployers);
    EXPECT_EQ(read->front(), (DeployerReport{.name = "later", .as = DeployerClass::Root}));
    const auto again = deployers_to_json(*read).dump();
    EXPECT_LT(again.size(), 50'000U); // a value of a node has at most 64 KiB
    EXPECT_EQ(again.find('\x1b'), std::string::npos);
    const std::vector<DeployerReport> many(1000, {.name = "x"});
    EXPECT_EQ(deployers_to_json(many).size(), most_reported_deployers);
}

TEST(DeployerReport, PackagesOfDebianAreNamed) {
    const std::vector<std::string> known{"/usr/bin/skopeo", "/usr/bin/umoci"}, own{"/opt/x"};
    EXPECT_EQ(how_to_install(known),
              "install /usr/bin/skopeo and /usr/bin/umoci; on Debian: apt install skopeo umoci");
    EXPECT_EQ(how_to_install(std::vector<std::string>{"/usr/bin/podman"}),
              "install /usr/bin/podman; on Debian: apt install podman");
    EXPECT_EQ(how_to_install(own), "install /opt/x");
}

} // namespace
} // namespace p2prc
