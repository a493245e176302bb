#include "connector/delegation.h"
#include "tests/unit/net/dns_fixture.h"

using namespace p2prc;
using namespace p2prc::connector;
using namespace p2prc::net::test;

namespace {

using DelegationTest = DnsClientTest;

TEST_F(DelegationTest, AZoneIsDelegatedWhenItsPrimaryIsTheRoot) {
    const std::string ours("\x03NS1\x04home\x07"
                           "example\0",
                           18);
    respond = [&](const Packet& query) { return answer(query, 6, soa(ours)); };
    const auto delegated = run(check_delegation("home.example", options));
    EXPECT_TRUE(delegated) << delegated.error().message;
    const std::string parked("\x04"
                             "park\x09"
                             "registrar\x07"
                             "example\0",
                             24);
    respond = [&](const Packet& query) { return answer(query, 6, soa(parked)); };
    const auto elsewhere = run(check_delegation("home.example", options));
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().message, testing::HasSubstr("park.registrar.example answers for it"));
    respond = no_such_name;
    const auto nowhere = run(check_delegation("home.example", options));
    ASSERT_FALSE(nowhere);
    EXPECT_THAT(nowhere.error().message,
                testing::HasSubstr("home.example is not delegated to this root yet"));
}

} // namespace
