// The real program, for what it answers before it asks the daemon: usage, input, and what is not built yet.
#include "tests/unit/cli/run.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>
#include <string>

namespace {

using p2prc::test::run;

TEST(CommandLine, UsageIsExitStatus2) {
    EXPECT_EQ(run("").status, 2);
    EXPECT_EQ(run("kill").status, 2);
    EXPECT_EQ(run("spin web --port 99999 -- true").status, 2);
    EXPECT_EQ(run("ps -o xml").status, 2);
    const auto typo = run("spni web");
    EXPECT_EQ(typo.status, 2);
    EXPECT_EQ(typo.messages, "p2prc: there is no command 'p2prc spni'\n  did you mean 'spin'?\n");
    const auto below = run("nodes shwo x");
    EXPECT_EQ(below.status, 2);
    EXPECT_EQ(below.messages, "p2prc: there is no command 'p2prc nodes shwo'\n  did you mean 'show'?\n");
    EXPECT_EQ(run("help spni").status, 2);
    EXPECT_EQ(run("nodes rm").messages, "p2prc: NAME is required\n  see p2prc nodes rm --help\n");
    EXPECT_NE(run("dns").messages.find("one of: zones, records\n"), std::string::npos);
}

TEST(CommandLine, HelpAndVersionAreExitStatus0) {
    EXPECT_EQ(run("--help").status, 0);
    EXPECT_EQ(run("spin --help").status, 0);
    EXPECT_EQ(run("help").output, run("--help").output);
    EXPECT_EQ(run("help nodes rm").output, run("nodes rm --help").output);
    EXPECT_EQ(run("--version").output.find("p2prc "), 0U);
}

TEST(CommandLine, InvalidInputIsExitStatus7AndNamesThePlace) {
    const p2prc::net::TemporaryDirectory directory;
    const std::string file = directory.path() / "bad.toml";
    std::ofstream(file) << "name = \"a\"\n\n[run]\ncomand = [\"x\"]\n";
    const auto bad = run("spin " + file);
    EXPECT_EQ(bad.status, 7);
    EXPECT_EQ(bad.messages, "p2prc: " + file + ":4: run.comand: unknown key\n  did you mean 'command'?\n");
    EXPECT_EQ(bad.output, "");
    EXPECT_EQ(run("spin Web -- true").status, 7);
    EXPECT_EQ(run("spin web").status, 7);
    EXPECT_NE(run("spin web --port 80").messages.find("no command follows"), std::string::npos);
    EXPECT_EQ(run("invite --expires soon").status, 7);
}

TEST(CommandLine, AMissingFileIsExitStatus3) {
    EXPECT_EQ(run("spin /nowhere/x.toml").status, 3);
}

TEST(CommandLine, ErrorsAreJsonWhenAskedFor) {
    for (const auto* flag : {"-o json", "--json", "-ojson", "--output=json"}) {
        const auto bad = run(std::string("spin Web ") + flag + " -- true");
        EXPECT_EQ(bad.status, 7);
        const auto error = nlohmann::json::parse(bad.output).at("error");
        EXPECT_EQ(error.at("code"), "InvalidSpec");
        EXPECT_NE(error.at("message").get<std::string>().find("'Web'"), std::string::npos);
        EXPECT_TRUE(error.contains("hint"));
    }
    EXPECT_EQ(nlohmann::json::parse(run("kill -ojson").output).at("error").at("code"), "Usage");
    EXPECT_EQ(nlohmann::json::parse(run("spni -o json").output).at("error").at("code"), "Usage");
}

TEST(CommandLine, TheManualHasEveryCommand) {
    std::ifstream file(p2prc::test::source_path("docs/man/p2prc.1.scd"));
    const std::string manual{std::istreambuf_iterator<char>(file), {}};
    std::istringstream help(run("--help").output);
    std::string line;
    while (std::getline(help, line) && line != "Subcommands:") {
    }
    std::size_t commands = 0;
    for (std::string verb; std::getline(help, line);) {
        // The groups are apart, and have a heading.
        if (!line.starts_with("  ") || line.starts_with("   ") || !(std::istringstream(line) >> verb))
            continue;
        ++commands;
        const bool named = manual.find("*" + verb + "*") != std::string::npos ||
                           manual.find("*" + verb + " ") != std::string::npos;
        EXPECT_TRUE(named) << verb;
    }
    EXPECT_GT(commands, 20U);
}

TEST(CommandLine, WhatIsNotBuiltSaysSo) {
    for (const auto* verb :
         {"move web --to home2", "history web", "map-port 25565 game", "ports", "forward a:1", "ssh a",
          "job submit x", "volunteer url", "backup f", "restore f", "dns add a TXT b", "--user ps",
          "map-domain a.b --tls none", "invite --role guest"}) {
        const auto later = run(verb);
        EXPECT_EQ(later.status, 1) << verb;
        EXPECT_NE(later.messages.find("not in this version"), std::string::npos) << verb;
    }
}

} // namespace
