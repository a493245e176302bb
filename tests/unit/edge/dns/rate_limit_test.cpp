#include "edge/dns/rate_limit.h"
#include "edge/dns/service.h"
#include "message.h"

#include <gtest/gtest.h>

#include <map>

namespace p2prc::edge::dns::testing {
namespace {

using namespace std::chrono_literals;

net::Address address(std::string_view text) {
    return *net::Address::parse(text);
}

std::map<Verdict, int> judged(RateLimit& limit, std::string_view from, int times, RateLimit::Time now) {
    std::map<Verdict, int> verdicts;
    for (int i = 0; i < times; ++i)
        ++verdicts[limit.judge(address(from), now)];
    return verdicts;
}

TEST(RateLimit, ASecondsWorthAtOnceAndThenTheRate) {
    RateLimit limit(100, 7);
    auto verdicts = judged(limit, "192.0.2.1", 300, 50s);
    EXPECT_EQ(verdicts[Verdict::Answer], 100);
    EXPECT_EQ(verdicts[Verdict::Truncate], 100);
    EXPECT_EQ(verdicts[Verdict::Drop], 100);
    EXPECT_EQ(judged(limit, "192.0.2.1", 100, 50s + 250ms)[Verdict::Answer], 25);
    EXPECT_EQ(judged(limit, "192.0.2.1", 300, 60s)[Verdict::Answer], 100);
}

TEST(RateLimit, OneBucketForANetworkAndAnotherForTheNext) {
    RateLimit limit(10, 7);
    judged(limit, "192.0.2.1", 10, 1s);
    EXPECT_NE(limit.judge(address("192.0.2.255"), 1s), Verdict::Answer);
    EXPECT_NE(limit.judge(address("::ffff:192.0.2.7"), 1s), Verdict::Answer);
    EXPECT_EQ(limit.judge(address("192.0.3.1"), 1s), Verdict::Answer);
    judged(limit, "2001:db8:0:100::1", 10, 1s);
    EXPECT_NE(limit.judge(address("2001:db8:0:1ff::1"), 1s), Verdict::Answer);
    EXPECT_EQ(limit.judge(address("2001:db8:0:200::1"), 1s), Verdict::Answer);
}

TEST(RateLimit, NoneForLoopbackNorForARateOfNone) {
    RateLimit limit(1, 7);
    EXPECT_EQ(judged(limit, "127.0.0.1", 100, 1s)[Verdict::Answer], 100);
    EXPECT_EQ(judged(limit, "::1", 100, 1s)[Verdict::Answer], 100);
    RateLimit none(0, 7);
    EXPECT_EQ(judged(none, "192.0.2.1", 1000, 1s)[Verdict::Answer], 1000);
}

TEST(RateLimit, AFloodOfNetworksCostsNoneOfThemItsAnswers) {
    RateLimit limit(10, 7);
    judged(limit, "203.0.113.1", 10, 1s);
    int answered = 0;
    for (unsigned i = 0; i < 500'000; ++i) {
        const auto byte = [i](unsigned shift) { return static_cast<std::uint8_t>(i >> shift); };
        answered += limit.judge(net::Address::v4({byte(16), byte(8), byte(0), 1}), 2s) == Verdict::Answer;
    }
    EXPECT_EQ(answered, 500'000);
}

TEST(RateLimit, ASlippedAnswerIsEmptyAndSaysTruncated) {
    RouteTable table;
    table.revision = 1;
    table.zones.push_back({"home.example", {"192.0.2.1"}, "", "", {}});
    Service service;
    service.snapshot = snapshot_of(table);
    service.limit = RateLimit(1, 7);
    const Wire question = make_query({"Home.Example", type::NS});
    std::array<std::uint8_t, udp_edns> out{};
    const auto served = [&] { return service.serve_udp(question, address("192.0.2.9"), 1s, out); };
    EXPECT_GT(served(), question.size());
    const std::size_t size = served();
    ASSERT_EQ(size, question.size());
    const Message slipped = read_message({out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_TRUE(slipped.has(flag_tc));
    EXPECT_EQ(slipped.rcode(), 0);
    EXPECT_TRUE(slipped.sections[0].empty() && slipped.sections[1].empty());
    EXPECT_TRUE(std::equal(question.begin() + 12, question.end(), out.begin() + 12))
        << "the question, its case too";
    EXPECT_EQ(served(), 0u);
    EXPECT_EQ(service.counters.rate_slipped, 1u);
    EXPECT_EQ(service.counters.rate_dropped, 1u);
    const Wire response{0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(service.serve_udp(response, address("192.0.2.9"), 1s, out), 0u);
}

} // namespace
} // namespace p2prc::edge::dns::testing
