#include "connector/command_line.h"

#include <gtest/gtest.h>

using namespace p2prc::connector;

namespace {

template <std::size_t size>
auto parse(const char* const (&words)[size]) {
    return parse_command_line(static_cast<int>(size), words);
}

TEST(CommandLine, Options) {
    const auto line = parse({"p2prc-connector", "--state", "/tmp/x", "--mappings=m.toml", "--fingerprint"});
    ASSERT_TRUE(line);
    EXPECT_EQ(line->state, "/tmp/x");
    EXPECT_EQ(line->mappings, "m.toml");
    EXPECT_TRUE(line->fingerprint);
    EXPECT_TRUE(line->acme_hook.empty());
    const auto none = parse({"p2prc-connector"});
    ASSERT_TRUE(none);
    EXPECT_EQ(none->state, "/var/lib/p2prc-connector");
}

TEST(CommandLine, ATokenOfTheAcmeClientIsNoOption) {
    const auto line =
        parse({"p2prc-connector", "acme-hook", "begin", "dns-01", "app.home.example", "--help", "-x"});
    ASSERT_TRUE(line);
    EXPECT_EQ(line->acme_hook,
              (std::vector<std::string>{"begin", "dns-01", "app.home.example", "--help", "-x"}));
}

TEST(CommandLine, WhatCannotBeParsedIsOfStatusTwo) {
    const auto status_of = [](const auto& line) { return line ? -1 : line.error(); };
    EXPECT_EQ(status_of(parse({"p2prc-connector", "--stat", "/tmp/x"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-connector", "--state"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-connector", "acme-hook", "begin", "dns-01"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-connector", "acme-hook"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-connector", "--help"})), 0);
    EXPECT_EQ(status_of(parse({"p2prc-connector", "--version"})), 0);
}

} // namespace
