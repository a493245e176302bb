// The real program, for what it answers before it asks the daemon: usage, input, and what is not built yet.
#include "tests/unit/cli/run.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
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
    for (const auto* words :
         {"spin web", "spin web --", "pause", "resume", "pause ''", "pause --owner ''", "owner limit attic",
          "owner limit", "start web --timeout soon", "start web --timeout 0s", "invite --expires soon",
          "nodes drain attic --deadline 25h", "top --interval 0", "logs", "custom web", "map-domain",
          "deploy web", "rollback web x", "history"}) {
        const auto result = run(words);
        EXPECT_EQ(result.status, 2) << words << ": " << result.messages;
        EXPECT_EQ(nlohmann::json::parse(run(std::string("-o json ") + words).output).at("error").at("code"),
                  "Usage")
            << words;
    }
}

TEST(CommandLine, ATimeThatIsNotTakenIsToldWhatIs) {
    EXPECT_EQ(run("nodes drain attic --deadline 25h").messages,
              "p2prc: --deadline: 25h is too long: at most 1d\n  see p2prc nodes drain --help\n");
    EXPECT_EQ(run("nodes drain attic --deadline 0s").messages,
              "p2prc: --deadline: '0s' is not a time such as 90s, 30m or 2h, from 1s to 1d\n"
              "  see p2prc nodes drain --help\n");
    EXPECT_EQ(
        run("start web --timeout 16m").messages.find("p2prc: --timeout: 16m is too long: at most 15m\n"), 0U);
    EXPECT_EQ(run("pause").messages,
              "p2prc: a process (ID|NAME|DOMAIN), or --owner NODE, is required\n  see p2prc pause --help\n");
}

TEST(CommandLine, OfCustomInformationThePlaceIsNamed) {
    const p2prc::net::TemporaryDirectory directory;
    const std::string file = directory.path() / "custom.json";
    const auto says = [&](const std::string& text) {
        std::ofstream(file) << text;
        const auto result = run("custom web " + file);
        EXPECT_EQ(result.status, 7) << text;
        const auto from_pipe = run("nodes custom attic - <" + file);
        EXPECT_EQ(from_pipe.status, 7) << text;
        EXPECT_EQ(from_pipe.messages.find("p2prc: standard input"), 0U) << from_pipe.messages;
        EXPECT_EQ(result.messages.find("p2prc: " + file), 0U) << result.messages;
        return result.messages.substr(std::string("p2prc: ").size() + file.size());
    };
    EXPECT_EQ(says("{\n  \"a\": \"b\",\n}").find(", line 3, column 1: this is not JSON: unexpected '}'"), 0U);
    EXPECT_EQ(says("{\"a\": 1}"),
              ": 'a' is not text, but of the type number\n  put the value in double quotes\n");
    EXPECT_EQ(says("{\"a\": {}}").find(": 'a' is not text, but of the type object\n"), 0U);
    EXPECT_EQ(says("[]").find(": this is JSON of the type array, not an object\n  write, for example, {"),
              0U);
    EXPECT_EQ(says(R"({"a": "b", "c": "d", "a": "e"})"), ": 'a' is there twice\n  leave one of them out\n");
    EXPECT_EQ(says(R"({"a": {"b": 1}, "c": {"b": 1}})").find(": 'a' is not text, but of the type object\n"),
              0U);
    EXPECT_EQ(says(" \n").find(" is empty\n"), 0U);
    EXPECT_EQ(says("{\"a\": \"b\\nc\"}").find(": the value of 'a' has characters that do not"), 0U);
    EXPECT_EQ(says("{\"\": \"b\"}").find(": '' is not a name of custom information\n"), 0U);
    EXPECT_EQ(says("{\"a\": \"" + std::string(5000, 'x') + "\"}").find(": the custom information has 5"), 0U);
    EXPECT_EQ(run("custom web " + file + ".not").status, 3);
    EXPECT_EQ(run("custom web - </dev/zero").messages.find("p2prc: there is too much on standard input\n"),
              0U);
}

TEST(CommandLine, AnEmptyNameIsNotAll) {
    for (const auto* words :
         {"deploy --clean ''", "deploy '' --clean", "deploy --again ''", "deploy --again"}) {
        const auto result = run(words);
        EXPECT_EQ(result.status, 2) << words;
        EXPECT_EQ(result.messages, "p2prc: ID|NAME|DOMAIN is required\n  see p2prc deploy --help\n");
    }
}

TEST(CommandLine, WordsOfOtherProgramsLeadToACommand) {
    const auto hint = [](const std::string& words) {
        const auto messages = run(words).messages;
        return messages.substr(std::min(messages.size(), messages.find('\n') + 1));
    };
    for (const auto* word : {"remove", "rm", "delete"})
        EXPECT_EQ(hint(std::string(word) + " web"), "  did you mean 'kill'?\n") << word;
    for (const auto* word : {"list", "ls"})
        EXPECT_EQ(hint(word), "  did you mean 'ps'?\n") << word;
    EXPECT_EQ(hint("nodes remove x"), "  did you mean 'rm'?\n");
    // `forward` and `volunteer` are not in this version.
    for (const auto* word : {"forwrad", "volunter"})
        EXPECT_EQ(hint(word), "  see p2prc --help\n") << word;
}

TEST(CommandLine, WhereToRunIsTheNode) {
    for (const auto* option : {"--to", "--via", "--on", "--host"}) {
        const auto result = run(std::string("spin ") + option + " attic web.toml");
        EXPECT_EQ(result.status, 2);
        EXPECT_EQ(result.messages, std::string("p2prc: p2prc spin has no option '") + option +
                                       "'\n  did you mean '--node'?\n");
    }
}

// A value of it is a name, which would be taken for the process.
TEST(CommandLine, AsWhomAProcessRunsIsSaidByItsFile) {
    for (const auto* words : {"spin --user anna web.toml", "spin web.toml --user anna",
                              "spin --user=anna web.toml", "--user anna spin web.toml", "ps --user"}) {
        const auto result = run(words);
        EXPECT_EQ(result.status, 1) << words;
        EXPECT_EQ(result.messages, "p2prc: --user is not in this version\n  leave it out; as whom a process "
                                   "runs, its file says: user = \"NAME\" below [run]\n")
            << words;
    }
    EXPECT_EQ(run("spin --user --help").status, 0);
}

TEST(CommandLine, ANameBehindAListLeadsToWhatShowsIt) {
    const auto hint = [](const std::string& words) {
        const auto result = run(words);
        EXPECT_EQ(result.status, 2) << words;
        return result.messages.substr(std::min(result.messages.size(), result.messages.find('\n') + 1));
    };
    EXPECT_EQ(run("nodes attic").messages,
              "p2prc: there is no command 'p2prc nodes attic'\n  did you mean 'p2prc nodes show attic'?\n");
    EXPECT_EQ(hint("fleet attic"), "  did you mean 'p2prc nodes show attic'?\n");
    EXPECT_EQ(run("domains web.home.example").messages,
              "p2prc: p2prc domains takes no further argument: 'web.home.example'\n"
              "  did you mean 'p2prc info web.home.example'?\n");
    EXPECT_EQ(hint("ps web"), "  did you mean 'p2prc info web'?\n");
    EXPECT_EQ(hint("ps 7"), "  did you mean 'p2prc info 7'?\n");
    EXPECT_EQ(hint("status web"), "  did you mean 'p2prc info web'?\n");
    EXPECT_EQ(hint("dns home.example"), "  did you mean 'p2prc dns records home.example'?\n");
    EXPECT_EQ(hint("nodes list"), "  did you mean 'p2prc nodes'?\n");
    EXPECT_EQ(hint("nodes add attic"), "  did you mean 'p2prc invite'?\n");
    EXPECT_EQ(hint("domains rm web.home.example"), "  did you mean 'p2prc unmap-domain'?\n");
    // What is no name is not repeated as a command.
    EXPECT_EQ(hint("nodes '$(reboot)'"), "  see p2prc nodes --help\n");
}

TEST(CommandLine, AnOptionBeforeTheCommand) {
    // One that all commands have: nothing is left to complain of but the input itself.
    for (const auto* flag : {"-o json", "--json", "-ojson", "--output=json", "--output json"}) {
        const auto result = run(std::string(flag) + " spin Web -- true");
        EXPECT_EQ(result.status, 7) << flag;
        EXPECT_EQ(nlohmann::json::parse(result.output).at("error").at("code"), "InvalidSpec") << flag;
        EXPECT_EQ(run(std::string(flag) + " help nodes rm").output, run("nodes rm --help").output) << flag;
    }
    const auto says = [](const std::string& arguments) {
        const auto result = run(arguments);
        EXPECT_EQ(result.status, 2) << arguments;
        return result.messages;
    };
    EXPECT_EQ(says("--port 3 spin web -- true"),
              "p2prc: '--port' is an option of p2prc spin, and goes behind it\n  p2prc spin --port 3 ...\n");
    EXPECT_EQ(says("--port=3 spin web -- true"),
              "p2prc: '--port' is an option of p2prc spin, and goes behind it\n  p2prc spin --port=3 ...\n");
    EXPECT_EQ(nlohmann::json::parse(run("--json --no-wait start web").output).at("error").at("hint"),
              "p2prc start --no-wait ...");
    EXPECT_EQ(says("-n 5 logs web"),
              "p2prc: '-n' is an option of p2prc logs, and goes behind it\n  p2prc logs -n 5 ...\n");
    EXPECT_EQ(says("-f logs web"),
              "p2prc: '-f' is an option of p2prc logs, and goes behind it\n  p2prc logs -f ...\n");
    EXPECT_EQ(
        says("--node attic --port 3 spin web -- true"),
        "p2prc: '--node' is an option of p2prc spin, and goes behind it\n  p2prc spin --node attic ...\n");
    EXPECT_EQ(says("--port 3 ps"), "p2prc: p2prc has no option '--port'\n  see p2prc --help\n");
    EXPECT_EQ(says("--outptu json ps"),
              "p2prc: p2prc has no option '--outptu'\n  did you mean '--output'?\n");
}

TEST(CommandLine, WhatCannotBePrintedIsAFailure) {
    for (const auto* words : {"--version", "--help", "spin --help"}) {
        for (const auto* to : {"/dev/full", "&-"}) {
            const auto result = run(std::string(words) + " >" + to);
            EXPECT_EQ(result.status, 1) << words << to;
            EXPECT_EQ(result.messages.find("p2prc: the output could not be written"), 0U)
                << words << to << result.messages;
        }
    }
    const auto json = run("kill -o json >/dev/full");
    EXPECT_EQ(json.status, 2);
    EXPECT_EQ(json.messages, "p2prc: the output could not be written: No space left on device\n");
    // What prints nothing misses nothing.
    EXPECT_EQ(run("spin Web >&- -- true").status, 7);
}

TEST(CommandLine, AWebAddressStandsForItsDomain) {
    EXPECT_NE(run("spin web --port 80 --domain https://x/ -- true").messages.find("'x' has only one label"),
              std::string::npos);
    EXPECT_NE(run("unmap-domain 'http://y:8443/a?b#c'").messages.find("'y' has only one label"),
              std::string::npos);
}

TEST(CommandLine, AWrongOptionIsNamedAndARightOneSuggested) {
    const auto says = [](const std::string& arguments) {
        const auto result = run(arguments);
        EXPECT_EQ(result.status, 2) << arguments;
        return result.messages;
    };
    EXPECT_EQ(says("spin --prot 80 x -- true"),
              "p2prc: p2prc spin has no option '--prot'\n  did you mean '--port'?\n");
    EXPECT_EQ(says("invite --rloe=owner"),
              "p2prc: p2prc invite has no option '--rloe'\n  did you mean '--role'?\n");
    EXPECT_EQ(says("ps --outptu json"),
              "p2prc: p2prc ps has no option '--outptu'\n  did you mean '--output'?\n");
    EXPECT_EQ(says("nodes rm a --zzz"),
              "p2prc: p2prc nodes rm has no option '--zzz'\n  see p2prc nodes rm --help\n");
    EXPECT_EQ(says("info --prot"), "p2prc: p2prc info has no option '--prot'\n  see p2prc info --help\n");
    EXPECT_NE(says("spin web python3 -m http.server").find("after --"), std::string::npos);
    EXPECT_NE(says("spin web /bin/true").find("'/bin/true'\n  the command to run goes after --"),
              std::string::npos);
    EXPECT_EQ(says("nodes rm a b"),
              "p2prc: p2prc nodes rm takes no further argument: 'b'\n  see p2prc nodes rm --help\n");
    EXPECT_NE(says("spin x --port 80x -- true").find("--port: '80x' is not a number\n"), std::string::npos);
    EXPECT_NE(says("spin x --port 03100 -- true").find("--port: '03100' begins with 0; write 3100"),
              std::string::npos);
    EXPECT_NE(says("spin x --port 65536 -- true").find("65536 is not between 0 and 65535"),
              std::string::npos);
    EXPECT_NE(says("logs x -n abc").find("'abc' is not a number"), std::string::npos);
    EXPECT_NE(says("logs x -n").find("--lines needs a value\n"), std::string::npos);
    EXPECT_NE(says("logs x -n -5").find("-5 is not between"), std::string::npos);
    EXPECT_EQ(says("top --interval 0.4"),
              "p2prc: --interval: 0.4 is not between 0.5 and 3600\n  see p2prc top --help\n");
    EXPECT_NE(says("top --interval nan").find("nan is not between"), std::string::npos);
    EXPECT_NE(says("top --interval x").find("'x' is not a number"), std::string::npos);
    EXPECT_NE(says("invite --role guset").find("'guset' is not one of: member, owner\n"), std::string::npos);
}

TEST(CommandLine, WhatIsNotInThisVersionIsNotOffered) {
    for (const auto* verb : {"map-domain", "invite", "spin"}) {
        const auto help = run(std::string(verb) + " --help").output;
        for (const auto* word : {"none", "guest", "--to", "--via", "--user", "not in this version"})
            EXPECT_EQ(help.find(word), std::string::npos) << verb << " " << word;
    }
    EXPECT_EQ(run("--help").output.find("--user"), std::string::npos);
    EXPECT_EQ(run("map-domain a.b --tls nnoe").messages.find("{"), std::string::npos);
}

TEST(CommandLine, EveryRefusalOfInputSaysWhatToDo) {
    const auto hint_of = [](const std::string& arguments) {
        const auto result = run(arguments);
        const auto newline = result.messages.find('\n');
        return newline == std::string::npos ? "" : result.messages.substr(newline + 1);
    };
    const auto name = run("spin Web_1 -- true").messages;
    EXPECT_EQ(
        name.find("p2prc: name: 'Web_1' does not start with a letter a-z\n  a process name starts with"), 0U)
        << name;
    EXPECT_EQ(run("spin web --port 80 --domain x -- true").messages.find("p2prc: domain: 'x'"), 0U);
    EXPECT_NE(hint_of("spin nofile.toml").find("/nofile.toml"), std::string::npos);
    EXPECT_NE(hint_of("invite --expires soon"), "");
    EXPECT_EQ(run("invite --expires 99d").messages.find("p2prc: --expires: 99d is too long: at most 30d\n  "),
              0U);
    EXPECT_EQ(run("invite --expires 99d").status, 2);
}

TEST(CommandLine, HelpAndVersionAreExitStatus0) {
    EXPECT_EQ(run("--help").status, 0);
    EXPECT_EQ(run("spin --help").status, 0);
    EXPECT_EQ(run("help").output, run("--help").output);
    EXPECT_EQ(run("help nodes rm").output, run("nodes rm --help").output);
    EXPECT_EQ(run("--version").output.find("p2prc "), 0U);
}

TEST(CommandLine, HelpNamesTheValueOfEachOption) {
    const auto spin = run("spin --help").output;
    for (const auto* words :
         {"--node NODE ", "--port PORT:0-65535 ", "--domain DOMAIN ", "--timeout TIME ", "--no-wait  "})
        EXPECT_NE(spin.find(words), std::string::npos) << words << spin;
    EXPECT_NE(run("init --help").output.find("--public-ip ADDRESS ..."), std::string::npos);
    for (const auto* verb :
         {"", "spin", "logs", "map-domain", "domains", "init", "invite", "join", "nodes rm", "dns records"}) {
        const auto help = run(std::string(verb) + " --help").output;
        for (const auto* jargon : {"TEXT", "INT", "REQUIRED", "SUBCOMMAND", "Excludes"})
            EXPECT_EQ(help.find(jargon), std::string::npos) << verb << ": " << help;
    }
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
    EXPECT_NE(run("spin web --port 80").messages.find("no command follows"), std::string::npos);
}

TEST(CommandLine, AMissingFileIsExitStatus3) {
    EXPECT_EQ(run("spin /nowhere/x.toml").status, 3);
}

TEST(CommandLine, WhatIsNoProcessFileIsNamed) {
    const p2prc::net::TemporaryDirectory directory;
    const std::string path = directory.path();
    const auto says = [](const std::string& arguments) {
        const auto result = run(arguments);
        EXPECT_EQ(result.status, 7) << arguments << result.messages;
        return result.messages;
    };
    EXPECT_EQ(says("spin " + path),
              "p2prc: " + path + " is a directory, not a file\n  give the path of a process file\n");
    std::ofstream(path + "/web.toml") << "name = web\n";
    EXPECT_EQ(says("spin " + path), "p2prc: " + path +
                                        " is a directory, not a file\n  give the process file: p2prc spin " +
                                        path + "/web.toml\n");
    EXPECT_EQ(says("spin " + path + "/web.toml"),
              "p2prc: " + path +
                  "/web.toml:1:8: expected a value, not web\n  put text in double quotes: \"web\"\n");
    EXPECT_EQ(says("spin /dev/zero"),
              "p2prc: /dev/zero is a device, not a file\n  give the path of a file\n");
    std::ofstream(path + "/large") << std::string((1 << 20) + 1, '#');
    EXPECT_EQ(says("spin " + path + "/large"),
              "p2prc: " + path + "/large is larger than 1 MiB\n  is it the right file?\n");
    EXPECT_NE(says("spin /bin/true").find("binary file"), std::string::npos);
}

TEST(CommandLine, WhatIsNoTokenIsNotSent) {
    const p2prc::net::TemporaryDirectory directory;
    const std::string file = directory.path() / "input";
    for (const auto& input :
         {std::string("two words\n"), std::string("\n \xff\xfe\n"), std::string(100'000, 'a')}) {
        std::ofstream(file) << input;
        const auto junk = run("join - <" + file);
        EXPECT_EQ(junk.status, 7) << input;
        EXPECT_EQ(
            junk.messages,
            "p2prc: this is not a join token\n  a token begins with p2prc1_; p2prc invite prints one\n");
    }
    EXPECT_EQ(run("join - </dev/zero").status, 7);
    for (const auto* input : {"/dev/null", "/"})
        EXPECT_EQ(run(std::string("join - <") + input)
                      .messages.find("p2prc: there is no token on standard input\n"),
                  0U);
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
    for (const auto* verb : {"move web --to home2", "map-port 25565 game", "ports", "forward a:1", "ssh a",
                             "job submit x", "volunteer url", "backup f", "restore f", "dns add a TXT b",
                             "--user ps", "map-domain a.b --tls none", "invite --role guest"}) {
        const auto later = run(verb);
        EXPECT_EQ(later.status, 1) << verb;
        EXPECT_NE(later.messages.find("not in this version"), std::string::npos) << verb;
    }
}

} // namespace
