#include "core/bind_rule.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

TEST(BindRule, ItsNameIsReadBack) {
    const std::pair<BindRule, std::string> all[] = {
        {{}, "none"},
        {{{8120}, false}, "8120"},
        {{{65535}, false}, "65535"},
        {{{443}, true}, "low-443"},
        {{{8384, 22000}, false}, "8384+22000"},
        {{{81, 443, 8443}, true}, "low-81+443+8443"},
        {{{1, 2, 3, 4, 5, 6, 7, 8, 9}, false}, "1+2+3+4+5+6+7+8+9"}};
    for (const auto& [rule, name] : all) {
        EXPECT_EQ(bind_rule_name(rule), name);
        const auto read = bind_rule_from_name(name);
        ASSERT_TRUE(read) << name;
        EXPECT_EQ(*read, rule) << name;
    }
}

TEST(BindRule, NothingElseIsARule) {
    for (const auto* name :
         {"",      "0",          "08120",     "65536",     "-1",        "+1",          "8120 ",
          "low",   "low-",       "low443",    "low-0",     "low-0443",  "none-1",      "8120+",
          "+8120", "8120++8121", "8121+8120", "8120+8120", "none+8120", "8120+low-81", "1+2+3+4+5+6+7+8+9+10",
          "../x",  "8120/../x",  "low--443"})
        EXPECT_FALSE(bind_rule_from_name(name)) << name;
}

TEST(BindRule, ProgramsAreNamedAfterTheirAttachType) {
    EXPECT_EQ(bind_program_name(BindFamily::Inet4, {{8120}, false}), "bind4-8120");
    EXPECT_EQ(bind_program_name(BindFamily::Inet6, {}), "bind6-none");
}

} // namespace
} // namespace p2prc
