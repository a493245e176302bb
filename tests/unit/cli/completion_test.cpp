// The shells' completion offers the commands and options that the program has, and no others.
#include "tests/unit/cli/run.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace p2prc::test {
namespace {

using Words = std::set<std::string>;

std::string read(const std::string& name) {
    std::ifstream file(source_path("cli/completion/" + name));
    return {std::istreambuf_iterator<char>(file), {}};
}

// What a pattern finds in each line; the lines are kept for it.
std::vector<std::smatch> matches(const std::string& text, const std::regex& pattern,
                                 std::deque<std::string>& lines) {
    std::vector<std::smatch> found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        std::smatch match;
        if (std::regex_search(lines.emplace_back(line), match, pattern)) found.push_back(match);
    }
    return found;
}

Words words(const std::string& text) {
    std::istringstream in(text);
    Words found;
    for (std::string word; in >> word;)
        if (word != "|" && word != "--") found.insert(word);
    return found;
}

// What stands below "Subcommands:" in --help, of this version.
Words subcommands(const std::string& text) {
    std::istringstream help(text);
    std::string line;
    while (std::getline(help, line) && line != "Subcommands:") {
    }
    Words found;
    while (std::getline(help, line) && !line.empty())
        if (line.starts_with("  ") && line[2] != ' ') found.insert(line.substr(2, line.find(' ', 2) - 2));
    return found;
}

// Of this version, with those of its subcommands; without --help.
struct Command {
    Words options; // long ones
    Words valued;  // all spellings of those that take a value
};

Command command(const std::string& verb) {
    static const std::regex option(R"(^  (?:(-\w),)?(--[a-z-]+)( [A-Z]{3,})?)");
    const auto help = run(verb + " --help").output;
    Command found;
    if (!verb.empty())
        for (const auto& below : subcommands(help)) {
            auto more = command(verb + " " + below);
            found.options.merge(more.options);
            found.valued.merge(more.valued);
        }
    std::deque<std::string> lines;
    for (const auto& match : matches(help, option, lines)) {
        if (match.suffix().str().find("not in this version") != std::string::npos || match[2] == "--help")
            continue;
        found.options.insert(match[2]);
        if (!match[3].matched) continue;
        found.valued.insert(match[2]);
        if (match[1].matched) found.valued.insert(match[1]);
    }
    return found;
}

Words commands() {
    auto found = subcommands(run("--help").output);
    found.insert("help");
    return found;
}

struct Offered {
    Words verbs;
    std::map<std::string, Words> options;
};

Offered bash() {
    const auto text = read("p2prc.bash");
    std::deque<std::string> lines;
    std::smatch verbs;
    EXPECT_TRUE(std::regex_search(text, verbs, std::regex("verbs=\"([^\"]*)\"")));
    Offered offered{words(verbs[1]), {}};
    for (const auto& match : matches(text, std::regex(R"(^\s+([a-z| -]+)\) _p2prc_words (--.*) ;;$)"), lines))
        for (const auto& verb : words(match[1]))
            offered.options[verb] = words(match[2]);
    return offered;
}

Offered zsh() {
    const auto text = read("_p2prc");
    Offered offered;
    const std::regex verb(R"(['"]([a-z-]+):)");
    for (auto it = std::sregex_iterator(text.begin(), text.end(), verb); it != std::sregex_iterator(); ++it)
        offered.verbs.insert((*it)[1]);
    std::deque<std::string> lines;
    for (const auto& match : matches(text, std::regex(R"(^\s+([a-z-]+) '(--[^']*)'$)"), lines))
        offered.options[match[1]] = words(match[2]);
    return offered;
}

Offered fish() {
    const auto text = read("p2prc.fish");
    std::deque<std::string> lines;
    std::smatch verbs;
    EXPECT_TRUE(std::regex_search(text, verbs, std::regex("set -l verbs ([a-z -]*)")));
    Offered offered{words(verbs[1]), {}};
    const std::regex option(R"re(-n "__fish_seen_subcommand_from ([a-z -]+)".* -l ([a-z-]+))re");
    for (const auto& match : matches(text, option, lines))
        for (const auto& verb : words(match[1]))
            offered.options[verb].insert("--" + match[2].str());
    return offered;
}

TEST(Completion, EachShellOffersWhatTheProgramHas) {
    const auto all = commands();
    EXPECT_GE(all.size(), 20U);
    const std::map<std::string, Offered> shells{{"bash", bash()}, {"zsh", zsh()}, {"fish", fish()}};
    for (const auto& [shell, offered] : shells) {
        EXPECT_EQ(offered.verbs, all) << shell;
        for (const auto& [verb, options] : offered.options)
            EXPECT_TRUE(all.contains(verb)) << shell << ": " << verb;
    }
    for (const auto& verb : all) {
        if (verb == "help") continue;
        const auto real = command(verb).options;
        for (const auto& [shell, offered] : shells) {
            const auto it = offered.options.find(verb);
            EXPECT_EQ(it == offered.options.end() ? Words() : it->second, real) << shell << ": " << verb;
        }
    }
}

TEST(Completion, EachShellOffersTheOptionsOfEveryCommand) {
    auto global = command("").options;
    EXPECT_TRUE(global.contains("--version"));
    for (const auto* file : {"p2prc.bash", "_p2prc", "p2prc.fish"})
        for (const auto& option : global)
            EXPECT_NE(read(file).find(std::string(file) == "p2prc.fish" ? "-l " + option.substr(2) : option),
                      std::string::npos)
                << file << ": " << option;
}

// Otherwise a value is taken for a command, or a command for a value.
TEST(Completion, WhatTakesAValueIsKnown) {
    auto valued = command("").valued;
    for (const auto& verb : commands())
        if (verb != "help") valued.merge(command(verb).valued);
    for (const auto* file : {"p2prc.bash", "_p2prc"}) {
        std::deque<std::string> lines;
        const auto skipped = matches(read(file), std::regex(R"(^\s+(-o \| .*)\) \(\(i\+\+\)\) ;;$)"), lines);
        ASSERT_EQ(skipped.size(), 1U) << file;
        EXPECT_EQ(words(skipped[0][1]), valued) << file;
    }
}

} // namespace
} // namespace p2prc::test
