#include "edge/dns/svcb.h"

#include <gmock/gmock.h>

#include <string>

namespace p2prc::edge::dns::testing {
namespace {

using ::testing::HasSubstr;

struct Parameter {
    int key;
    std::string value;
};

std::string verdict(const std::vector<Parameter>& parameters) {
    std::string rdata("\0\1\0", 3);
    for (const auto& [key, value] : parameters) {
        rdata += {static_cast<char>(key >> 8), static_cast<char>(key), '\0', static_cast<char>(value.size())};
        rdata += value;
    }
    const auto good = check_svcb(rdata);
    return good ? "good" : good.error().message;
}

const std::string h2("\2h2", 3);

TEST(Svcb, TakesWellFormedParameters) {
    EXPECT_EQ(verdict({}), "good");
    EXPECT_EQ(verdict({{1, h2},
                       {2, ""},
                       {3, std::string("\1\273", 2)},
                       {4, "abcd"},
                       {6, std::string(16, 'x')},
                       {5, ""}}),
              "parameter key 5 is there twice or out of order");
    EXPECT_EQ(
        verdict({{1, h2}, {2, ""}, {3, "xx"}, {4, "abcdefgh"}, {6, std::string(16, 'x')}, {65000, "any"}}),
        "good");
    EXPECT_EQ(verdict({{0, std::string("\0\1\0\3", 4)}, {1, h2}, {3, "xx"}}), "good");
}

TEST(Svcb, KeysAreSortedAndUnique) {
    EXPECT_THAT(verdict({{1, h2}, {1, h2}}), HasSubstr("twice"));
    EXPECT_THAT(verdict({{3, "xx"}, {1, h2}}), HasSubstr("out of order"));
}

TEST(Svcb, MandatoryKeysArePresent) {
    EXPECT_THAT(verdict({{0, std::string("\0\3", 2)}, {1, h2}}), HasSubstr("absent"));
    EXPECT_THAT(verdict({{0, std::string("\0\0", 2)}}), HasSubstr("itself"));
    EXPECT_THAT(verdict({{0, std::string("\0\1\0\1", 4)}, {1, h2}}), HasSubstr("twice"));
    EXPECT_THAT(verdict({{0, ""}}), HasSubstr("list keys"));
    EXPECT_THAT(verdict({{0, "x"}}), HasSubstr("list keys"));
}

TEST(Svcb, ValuesHaveTheirForm) {
    EXPECT_THAT(verdict({{1, ""}}), HasSubstr("alpn"));
    EXPECT_THAT(verdict({{1, std::string("\0", 1)}}), HasSubstr("alpn"));
    EXPECT_THAT(verdict({{1, "\5h2"}}), HasSubstr("alpn"));
    EXPECT_THAT(verdict({{2, ""}}), HasSubstr("needs 'alpn'"));
    EXPECT_THAT(verdict({{1, h2}, {2, "x"}}), HasSubstr("no value"));
    EXPECT_THAT(verdict({{3, "x"}}), HasSubstr("port"));
    EXPECT_THAT(verdict({{4, "abc"}}), HasSubstr("ipv4hint"));
    EXPECT_THAT(verdict({{6, "abcd"}}), HasSubstr("ipv6hint"));
}

TEST(Svcb, CutDataIsRefused) {
    EXPECT_FALSE(check_svcb(std::string_view("\0\1", 2)));
    EXPECT_FALSE(check_svcb(std::string_view("\0\1\3ab", 5)));
    EXPECT_FALSE(check_svcb(std::string_view("\0\1\0\0\1", 5)));
    EXPECT_FALSE(check_svcb(std::string_view("\0\1\0\0\1\0\2x", 8)));
}

} // namespace
} // namespace p2prc::edge::dns::testing
