#include "edge/dns/rate_limit.h"

#include <algorithm>

namespace p2prc::edge::dns {
namespace {

constexpr RateLimit::Time burst = std::chrono::seconds(1);

// The network's bits below a bit for its family: never 0.
std::uint64_t network_of(const net::Address& address) noexcept {
    const std::size_t size = address.is_v4() ? 3 : 7;
    std::uint64_t bits = address.is_v4() ? 1 : 2;
    for (std::size_t i = 0; i < size; ++i)
        bits = bits << 8 | address.bytes()[i];
    return bits;
}

// The finaliser of MurmurHash3: each bit of what goes in changes half of what comes out.
std::uint64_t mix(std::uint64_t value) noexcept {
    value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return value ^ value >> 33;
}

} // namespace

RateLimit::RateLimit(std::size_t per_second, std::uint64_t seed) : seed_(seed) {
    if (per_second == 0) return;
    cost_ = std::max(Time(1), burst / static_cast<Time::rep>(per_second));
    buckets_.resize(sets * ways);
}

RateLimit::Bucket& RateLimit::bucket_of(std::uint64_t network) noexcept {
    Bucket* const set = &buckets_[mix(network ^ seed_) % sets * ways];
    Bucket* quietest = set;
    for (Bucket* bucket = set; bucket != set + ways; ++bucket) {
        if (bucket->network == network) return *bucket;
        if (bucket->empty_at < quietest->empty_at) quietest = bucket;
    }
    *quietest = {network, {}, 0};
    return *quietest;
}

Verdict RateLimit::judge(const net::Address& from, Time now) noexcept {
    if (!limits() || from.is_loopback()) return Verdict::Answer;
    Bucket& bucket = bucket_of(network_of(from));
    const Time empty_at = std::max(bucket.empty_at, now) + cost_;
    if (empty_at - now > burst) return ++bucket.refused % 2 == 1 ? Verdict::Truncate : Verdict::Drop;
    bucket.empty_at = empty_at;
    return Verdict::Answer;
}

} // namespace p2prc::edge::dns
