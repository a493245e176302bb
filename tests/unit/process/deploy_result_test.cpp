#include "process/deploy_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace p2prc::process {
namespace {

std::string refusal(std::string_view text) {
    const auto result = read_deploy_result(text);
    return result ? "" : result.error().message;
}

TEST(DeployResult, EachKey) {
    const auto result =
        read_deploy_result("DIR=out/x\nWORKDIR=a\n\nCOMMAND=[\"/bin/x\", \"a b\"]\nENV.A=b=c\nENV.C=\n"
                           "RESOLVED=sha256:1\nNOTE=done, 3 files");
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, (DeployResult{.directory = "out/x",
                                     .work_directory = "a",
                                     .command = {"/bin/x", "a b"},
                                     .environment = {{"A", "b=c"}, {"C", ""}},
                                     .resolved = "sha256:1",
                                     .note = "done, 3 files"}));
    EXPECT_EQ(*read_deploy_result(""), DeployResult());
    const auto rooted = read_deploy_result("VOLUME=data\nROOT=r/x\nVOLUME=data-2/x/\n");
    ASSERT_TRUE(rooted) << rooted.error().message;
    EXPECT_EQ(rooted->root, "r/x");
    const auto contained = read_deploy_result("VOLUME=data\nCONTAINER=" + std::string(64, 'a') + "\n");
    ASSERT_TRUE(contained) << contained.error().message;
    EXPECT_EQ(contained->container, std::string(64, 'a'));
    EXPECT_EQ(rooted->volumes, (std::vector<std::string>{"data", "data-2/x"}));
    std::string many = "ROOT=r\n";
    for (std::size_t n = 0; n <= most_volumes; ++n)
        many += "VOLUME=v" + std::to_string(n) + "\n";
    EXPECT_THAT(refusal(many), testing::HasSubstr("is one more than 32"));
}

TEST(DeployResult, WhatIsRefused) {
    const auto image = "CONTAINER=" + std::string(64, 'a') + "\n";
    const std::vector<std::pair<std::string, std::string>> cases{
        {"DIR=..", ".p2prc:1: DIR leads out of the directory"},
        {"NOTE=x\nDIR=a/../../b", ".p2prc:2: DIR leads out of the directory"},
        {"DIR=/etc", ".p2prc:1: DIR is an absolute path"},
        {"DIR=", ".p2prc:1: DIR is empty"},
        {"WORKDIR=a/..", ".p2prc:1: WORKDIR leads out"},
        {"DIR", ".p2prc:1: DIR is not of the form KEY=VALUE"},
        {"DIR=a\nDIR=b", ".p2prc:2: DIR is there twice"},
        {"SHELL=x", ".p2prc:1: SHELL is not known"},
        {"dir=x", ".p2prc:1: dir is not known"},
        {"ROOT=/", ".p2prc:1: ROOT is an absolute path"},
        {"ROOT=a/../..", ".p2prc:1: ROOT leads out"},
        {"ROOT=a%n", ".p2prc:1: ROOT is too long, or has blanks"},
        {"ROOT=a\nROOT=b", ".p2prc:2: ROOT is there twice"},
        {"VOLUME=x", ".p2prc:1: VOLUME needs a ROOT"},
        {"CONTAINER=alpine", ".p2prc:1: CONTAINER is not the id of an image"},
        {"CONTAINER=" + std::string(64, 'A'), ".p2prc:1: CONTAINER is not the id of an image"},
        {image + "ROOT=r", ".p2prc:2: ROOT is not for a CONTAINER"},
        {image + "DIR=r", ".p2prc:2: DIR is not for a CONTAINER"},
        {image + "WORKDIR=r", ".p2prc:2: WORKDIR is not for a CONTAINER"},
        {image + "VOLUME=a:b", ".p2prc:2: VOLUME of a CONTAINER has no ':'"},
        {image + "VOLUME=dev/x", ".p2prc:2: VOLUME cannot be kept"},
        {"ROOT=r\nVOLUME=/x", ".p2prc:2: VOLUME is an absolute path"},
        {"ROOT=r\nVOLUME=../x", ".p2prc:2: VOLUME leads out"},
        {"ROOT=r\nVOLUME=./.", ".p2prc:2: VOLUME cannot be kept"},
        {"ROOT=r\nVOLUME=var/lib", ".p2prc:2: VOLUME cannot be kept"},
        {"ROOT=r\nVOLUME=run/x", ".p2prc:2: VOLUME cannot be kept"},
        {"ROOT=r\nVOLUME=a/b\nVOLUME=a", ".p2prc:3: VOLUME is in another VOLUME"},
        {"ROOT=r\nVOLUME=a\nVOLUME=./a//b/", ".p2prc:3: VOLUME is in another VOLUME"},
        {"COMMAND=/bin/x", ".p2prc:1: COMMAND is not a list of strings"},
        {"COMMAND=[1]", ".p2prc:1: COMMAND is not a list of strings"},
        {"COMMAND=[]", ".p2prc:1: COMMAND is empty"},
        {"COMMAND=[\"bin/x\"]", ".p2prc:1: COMMAND 'bin/x' is a relative path"},
        {"ENV.1=x", ".p2prc:1: ENV.1 '1' is not a name of a variable"},
        {"ENV.=x", ".p2prc:1: ENV. '' is not a name"},
        {"ENV.LD_LIBRARY_PATH=/x", ".p2prc:1: ENV.LD_LIBRARY_PATH LD_LIBRARY_PATH would change"},
        {"ENV.PORT=1", ".p2prc:1: ENV.PORT is set by p2prc"},
        {"ENV.DEPLOY=1", ".p2prc:1: ENV.DEPLOY is set by p2prc"},
        {"NOTE=a\rb", ".p2prc:1: NOTE has control characters"},
        {"NOTE=\xff", ".p2prc:1: NOTE has control characters, or is not UTF-8"},
        {std::string(longest_deploy_result + 1, '\n'), ".p2prc:0: the file is longer than 64 KiB"},
    };
    for (const auto& [text, message] : cases)
        EXPECT_THAT(refusal(text), testing::StartsWith(message)) << text.substr(0, 50);
}

} // namespace
} // namespace p2prc::process
