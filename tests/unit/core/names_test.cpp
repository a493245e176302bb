#include "core/names.h"
#include "core/text.h"

#include <gtest/gtest.h>

#include <array>

namespace p2prc {
namespace {

TEST(ProcessName, AcceptsTheForm) {
    for (const auto* name : {"a", "calendar", "a1", "my-app-2", "a23456789012345678901234567890123456789012"})
        EXPECT_TRUE(check_process_name(name)) << name;
}

TEST(ProcessName, RefusesEverythingElseAndSaysWhy) {
    for (const auto* name : {"", "1a", "-a", "a-", "A", "a_b", "a.b", "a b", "a/b", "ä",
                             "a234567890123456789012345678901234567890123"}) {
        const auto checked = check_process_name(name);
        ASSERT_FALSE(checked) << name;
        EXPECT_EQ(checked.error().code, ErrorCode::InvalidSpec);
        EXPECT_FALSE(checked.error().hint.empty());
    }
}

TEST(ProcessName, RefusesThePartsOfP2prc) {
    for (const auto* name : {"edge", "connector", "portal", "acme"}) {
        EXPECT_FALSE(check_process_name(name)) << name;
        EXPECT_TRUE(check_node_name(name)) << name;
    }
}

TEST(Domain, IsNormalised) {
    EXPECT_EQ(normalize_domain("Calendar.Home.Example."), "calendar.home.example");
    EXPECT_EQ(normalize_domain("*.home.example"), "*.home.example");
    EXPECT_EQ(normalize_domain("_acme-challenge.home.example"), "_acme-challenge.home.example");
    EXPECT_EQ(normalize_domain("1.home.example"), "1.home.example");
    EXPECT_EQ(normalize_domain("xn--bcher-kva.example"), "xn--bcher-kva.example");
}

TEST(Domain, IsRefusedWhenItIsNone) {
    const std::string long_label(64, 'a');
    for (const auto& domain :
         {std::string(""), std::string("."), std::string("example"), std::string("a..b"), std::string(".a.b"),
          std::string("a.b.."), std::string("-a.b"), std::string("a-.b"), std::string("a.*.b"),
          std::string("a*.b.c"), std::string("192.0.2.1"), std::string("a b.c"), std::string("a.b\0.evil", 9),
          std::string("bücher.example"), long_label + ".example", std::string(250, 'a') + ".example",
          std::string("a:80.b")})
        EXPECT_FALSE(normalize_domain(domain)) << domain;
}

TEST(Domain, ZoneMembershipIsByLabels) {
    EXPECT_TRUE(in_zone("home.example", "home.example"));
    EXPECT_TRUE(in_zone("a.home.example", "home.example"));
    EXPECT_FALSE(in_zone("athome.example", "home.example"));
    EXPECT_FALSE(in_zone("example", "home.example"));
    EXPECT_FALSE(in_zone("home.example", ""));
}

TEST(Nearest, ComparesNoWordOfAnyLength) {
    // A table of distances for this would take some 20 GB.
    const std::string endless(50'000'000, 'a');
    const std::array<std::string_view, 2> keys{endless, std::string_view(endless).substr(0, 64)};
    EXPECT_EQ(nearest(endless, keys), "");
    EXPECT_EQ(nearest(std::string(63, 'a'), keys), keys[1]);
}

TEST(Names, QuoteWholeCharactersInMessages) {
    const auto refused = normalize_domain(std::string(299, 'a') + "\xC3\xA9.example");
    ASSERT_FALSE(refused);
    EXPECT_TRUE(text::fits_bus(refused.error().message));
    const auto named = check_node_name(std::string(99, 'a') + "\xC3\xA9\n");
    ASSERT_FALSE(named);
    EXPECT_TRUE(text::fits_bus(named.error().message));
    EXPECT_FALSE(text::has_controls(named.error().message));
}

TEST(Names, TheProofOfADomainHasANameOfItsOwn) {
    EXPECT_EQ(challenge_name("web.home.example"), "_acme-challenge.web.home.example");
    EXPECT_EQ(challenge_name("*.home.example"), "_acme-challenge.home.example");
    const std::string label(60, 'a');
    EXPECT_FALSE(challenge_name(label + "." + label + "." + label + "." + label));
}

TEST(Nearest, FindsTypingErrorsOnly) {
    constexpr std::array<std::string_view, 3> keys{"command", "environment", "restart"};
    EXPECT_EQ(nearest("comand", keys), "command");
    EXPECT_EQ(nearest("enviroment", keys), "environment");
    EXPECT_EQ(nearest("zzz", keys), "");
    constexpr std::array<std::string_view, 5> names{"home1", "b", "web", "photos", "the-longest-of-names"};
    EXPECT_EQ(nearest("home2", names), "") << "another one of a row";
    EXPECT_EQ(nearest("home", names), "home1");
    EXPECT_EQ(nearest("a", names), "");
    EXPECT_EQ(nearest("wbe", names), "web");
    EXPECT_EQ(nearest("git", names), "");
    EXPECT_EQ(nearest("potatoes", names), "");
    EXPECT_EQ(nearest("a-longer-one-of-names", names), "");
    EXPECT_EQ(nearest("the-longset-of-name", names), "the-longest-of-names");
}

TEST(Nearest, TheZoneMakesDomainsNoMoreAlike) {
    constexpr std::array<std::string_view, 3> domains{"git.home.example", "calendar.home.example",
                                                      "home.example"};
    EXPECT_EQ(nearest_domain("web.home.example", domains), "");
    EXPECT_EQ(nearest_domain("gti.home.example", domains), "git.home.example");
    EXPECT_EQ(nearest_domain("git.hom.example", domains), "git.home.example");
    EXPECT_EQ(nearest_domain("git.home.exmaple", domains), "git.home.example");
    EXPECT_EQ(nearest_domain("calender.home.example", domains), "calendar.home.example");
    EXPECT_EQ(nearest_domain("cellar.home.example", domains), "");
    EXPECT_EQ(nearest_domain("hoem.example", domains), "home.example");
    EXPECT_EQ(nearest_domain("example", domains), "");
}

} // namespace
} // namespace p2prc
