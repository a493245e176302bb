#include "process/deployed.h"
#include "tests/unit/net/temporary_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class DeployedTest : public testing::Test {
  protected:
    DeployedTest() {
        record.id = 7;
        record.name = record.spec.name = "web";
        record.spec.run.command = {"/bin/web"};
        record.spec.deploy = {"script", "x"};
        fs::create_directories(place());
    }
    fs::path place() const { return directory / "hidden/web" / deploy_digest(record.spec); }
    void say(std::string_view text) const { std::ofstream(place() / ".p2prc") << text; }
    std::string refusal(bool closed = true) const {
        const auto done = results.finish(record, true, closed);
        EXPECT_EQ(results.find(record).has_value(), done.has_value());
        return done ? "" : done.error().message;
    }

    const net::TemporaryDirectory temporary;
    const fs::path& directory = temporary.path();
    DeployedResults results{directory / "open", directory / "hidden", directory / "notes"};
    ProcessRecord record;
};

TEST_F(DeployedTest, ItIsFoundOnceItIsWhole) {
    ASSERT_TRUE(results.begin(record, true));
    EXPECT_FALSE(results.find(record));
    EXPECT_THAT(results.unfinished("web"), testing::ElementsAre(deploy_digest(record.spec)));
    say("ENV.A=b\nRESOLVED=1\n");
    const auto done = results.finish(record, true, true);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(results.find(record), *done);
    EXPECT_EQ(done->directory, place());
    EXPECT_EQ(done->shown(), place());
    EXPECT_EQ(results.resolved(record), "1");
    EXPECT_THAT(results.unfinished("web"), testing::IsEmpty());
    fs::remove_all(place());
    EXPECT_FALSE(results.find(record));
}

TEST_F(DeployedTest, ItIsThatOfOneProcess) {
    ASSERT_TRUE(results.finish(record, true, true));
    record.id = 8;
    EXPECT_FALSE(results.find(record));
    record.former_ids = {7};
    EXPECT_TRUE(results.find(record));
    record.spec.run.user = "anna";
    EXPECT_FALSE(results.find(record));
}

TEST_F(DeployedTest, PathsStayBeneath) {
    fs::create_directories(place() / "a/b");
    say("DIR=a\nWORKDIR=b\n");
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(results.find(record)->shown(), place() / "a");
    for (const auto& [link, target] :
         {std::pair("out", "/"), std::pair("up", "../.."), std::pair("a/up", "../..")})
        fs::create_symlink(target, place() / link);
    results.forget("web", deploy_digest(record.spec));
    for (const auto* text :
         {"DIR=out\n", "DIR=up\n", "DIR=a/up\n", "DIR=a\nWORKDIR=up\n", "WORKDIR=out/etc\n"}) {
        say(text);
        EXPECT_THAT(refusal(), HasSubstr("is not a directory, or is or has a link on its way")) << text;
    }
    say("DIR=nowhere\n");
    EXPECT_THAT(refusal(), HasSubstr("No such file"));
    std::ofstream(place() / "file") << "x";
    say("DIR=file\n");
    EXPECT_THAT(refusal(), HasSubstr("is not a directory"));
}

TEST_F(DeployedTest, TheFileItselfIsPlain) {
    fs::create_symlink("/etc/passwd", place() / ".p2prc");
    EXPECT_NE(refusal(), "");
    fs::remove(place() / ".p2prc");
    ASSERT_EQ(mkfifo((place() / ".p2prc").c_str(), 0644), 0);
    EXPECT_THAT(refusal(), HasSubstr("is not a plain file"));
    fs::remove(place() / ".p2prc");
    fs::create_directory(place() / ".p2prc");
    EXPECT_THAT(refusal(), HasSubstr("is not a plain file"));
    fs::remove(place() / ".p2prc");
    say(std::string(longest_deploy_result + 1, '\n'));
    EXPECT_THAT(refusal(), HasSubstr("longer than 64 KiB"));
}

TEST_F(DeployedTest, AUserOfTheMachineCannotChooseWhatIsShown) {
    fs::create_directories(place() / "a");
    say("DIR=a\n");
    EXPECT_THAT(refusal(false), HasSubstr("DIR is not for a process with run.user"));
    say("ENV.A=b\n");
    EXPECT_EQ(refusal(false), "");
}

TEST_F(DeployedTest, SomebodySaysWhatToRun) {
    record.spec.run.command.clear();
    EXPECT_THAT(refusal(), HasSubstr("neither the process file nor the deployer"));
    say("COMMAND=[\"/bin/x\"]\n");
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(with_result(record, *results.find(record)).spec.run.command,
              std::vector<std::string>{"/bin/x"});
    record.spec.run.command = {"/bin/own"};
    EXPECT_EQ(with_result(record, *results.find(record)).spec.run.command,
              std::vector<std::string>{"/bin/own"});
}

TEST_F(DeployedTest, AContainerIsOfADeployerThatRunsAsRoot) {
    const std::string image(64, 'a');
    say("CONTAINER=" + image + "\nVOLUME=data\n");
    EXPECT_THAT(refusal(), HasSubstr("CONTAINER is for deployers that run as root"));
    EXPECT_THAT(results.containers(), testing::IsEmpty());
    const auto done = results.finish(record, true, true, true);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->in_container());
    EXPECT_THAT(results.containers(), testing::ElementsAre(image));
    EXPECT_THAT(results.containers("web"), testing::ElementsAre(image));
    EXPECT_THAT(results.containers("other"), testing::IsEmpty());
    const auto why = [&](auto change) {
        auto spec = record.spec;
        change(spec);
        const auto fits = check_fit(spec, done->result);
        return fits ? "" : fits.error().message;
    };
    EXPECT_EQ(why([](ProcessSpec&) {}), "");
    EXPECT_THAT(why([](auto& spec) { spec.run.user = "anna"; }),
                HasSubstr("run.user is not for a container"));
    EXPECT_THAT(why([](auto& spec) { spec.run.root = "/srv"; }),
                HasSubstr("run.root is not for a container"));
    EXPECT_THAT(why([](auto& spec) { spec.run.kill = {"/x"}; }),
                HasSubstr("run.kill is not for a container"));
    EXPECT_THAT(why([](auto& spec) { spec.run.data = false; }), HasSubstr("VOLUME data is kept"));
    EXPECT_THAT(why([](auto& spec) { spec.ready.probe = Probe{.kind = Probe::Kind::Notify}; }),
                HasSubstr("not in this version"));
}

TEST_F(DeployedTest, WhatTheUnitGets) {
    fs::create_directories(place() / "a/b");
    say("DIR=a\nWORKDIR=b\nENV.MINE=1\nENV.THEIRS=1\n");
    ASSERT_EQ(refusal(), "");
    record.spec.run.environment = {{"THEIRS", "2"}};
    auto unit = *transient_unit(record, "home1", Origin::Local);
    add_result(unit, record.spec, *results.find(record));
    const auto value = [&unit](std::string_view name) {
        const auto found = std::ranges::find(unit.properties, name, &UnitProperty::name);
        EXPECT_EQ(std::ranges::count(unit.properties, name, &UnitProperty::name), 1) << name;
        return found->value;
    };
    EXPECT_EQ(value("WorkingDirectory"), "/run/p2prc-deploy/b");
    EXPECT_EQ(value("BindReadOnlyPaths").at(0).at(0), (place() / "a").string());
    const auto environment = value("Environment").get<std::vector<std::string>>();
    EXPECT_THAT(environment, testing::IsSupersetOf({"MINE=1", "THEIRS=2", "DEPLOY=/run/p2prc-deploy"}));
    EXPECT_EQ(std::ranges::count(environment, "THEIRS=1"), 0);
}

TEST_F(DeployedTest, ARootIsBeneathAndItsVolumesAreLinksIntoTheData) {
    fs::create_directories(place() / "root/var");
    for (const auto& [link, target] : {std::pair("out", "/"), std::pair("root/up", "../.."),
                                       std::pair("root/data", "/var/lib/p2prc-data/web/data"),
                                       std::pair("root/var/x", "/var/lib/p2prc-data/web/var/x"),
                                       std::pair("root/far", "/var/lib/p2prc-data/other/far"),
                                       std::pair("root/more", "/var/lib/p2prc-data/web/more/x")})
        fs::create_symlink(target, place() / link);
    for (const auto* text : {"ROOT=out\n", "ROOT=out/etc\n", "ROOT=root\nVOLUME=up/x\n"}) {
        say(text);
        EXPECT_THAT(refusal(), HasSubstr("is or has a link on its way")) << text;
    }
    for (const auto* text :
         {"ROOT=root\nVOLUME=far\n", "ROOT=root\nVOLUME=more\n", "ROOT=root\nVOLUME=var/y\n"}) {
        say(text);
        EXPECT_THAT(refusal(), HasSubstr("could not be made a link")) << text;
    }
    say("ROOT=root\nVOLUME=data\nVOLUME=var/x\nWORKDIR=www\n");
    EXPECT_THAT(refusal(false), HasSubstr("ROOT is not for a process with run.user"));
    ASSERT_EQ(refusal(), "");
    const auto deployed = *results.find(record);
    const auto rooted = with_result(record, deployed);
    EXPECT_EQ(rooted.spec.run.root, (place() / "root").string());
    auto unit = *transient_unit(rooted, "home1", Origin::Remote);
    add_result(unit, record.spec, deployed);
    const auto value = [&unit](std::string_view name) {
        EXPECT_EQ(std::ranges::count(unit.properties, name, &UnitProperty::name), 1) << name;
        return std::ranges::find(unit.properties, name, &UnitProperty::name)->value;
    };
    EXPECT_EQ(value("RootDirectory"), (place() / "root").string());
    EXPECT_EQ(value("WorkingDirectory"), "-/www");
    EXPECT_EQ(value("BindReadOnlyPaths").size(), 3U);
    EXPECT_EQ(value("BindReadOnlyPaths").at(2),
              nlohmann::json::array({place().string(), "/run/p2prc-deploy", false, 0}));
}

TEST_F(DeployedTest, WhatARootDoesNotFit) {
    fs::create_directories(place() / "root");
    fs::create_symlink("/var/lib/p2prc-data/web/data", place() / "root/data");
    say("ROOT=root\nVOLUME=data\n");
    record.spec.run.data = false;
    EXPECT_THAT(refusal(), HasSubstr("VOLUME data is kept in the process's data, and it has none"));
    record.spec.run.data = true;
    record.spec.run.kill = {"/bin/stop"};
    EXPECT_THAT(refusal(), HasSubstr("run.kill is not for a process whose deployer makes a root"));
    record.spec.run.kill.clear();
    record.spec.run.root = "/srv/jail";
    EXPECT_THAT(refusal(), HasSubstr("run.root is not for a process whose deployer makes a root"));
}

TEST_F(DeployedTest, ADamagedNoteIsNone) {
    ASSERT_TRUE(results.finish(record, true, true));
    std::ofstream(directory / "notes/web" / deploy_digest(record.spec)) << "{\"whole\":tr";
    EXPECT_FALSE(results.find(record));
    EXPECT_EQ(results.unfinished("web").size(), 1U);
}

} // namespace
} // namespace p2prc::process
