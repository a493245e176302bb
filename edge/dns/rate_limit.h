// How many UDP answers one network gets in a second: forged questions must not make this server flood whom
// they name.
#pragma once

#include "net/address.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace p2prc::edge::dns {

// What becomes of a question over UDP. An address that is forged learns nothing from an empty answer of the
// question's size; an honest client asks again over TCP, which no forger can (RFC 5358 section 4, RFC 7873).
enum class Verdict : std::uint8_t { Answer, Truncate, Drop };

// A bucket for each IPv4 /24 and IPv6 /56, which holds a second's worth; loopback is not limited. The table
// is of one size: among networks that share a place the one that has been quiet longest is forgotten, so that
// a flood of forged networks costs none of them its answers.
class RateLimit {
  public:
    using Time = std::chrono::nanoseconds; // of a clock that is never set

    // 0: no limit. `seed` is unknown to strangers, or they could choose networks that share a place.
    RateLimit(std::size_t per_second, std::uint64_t seed);

    bool limits() const noexcept { return cost_ != Time::zero(); }
    // Of what is over the limit, every second question gets an empty answer.
    Verdict judge(const net::Address& from, Time now) noexcept;

  private:
    struct Bucket {
        std::uint64_t network = 0; // 0: free
        Time empty_at{};           // when all of it may be used again
        std::uint32_t refused = 0;
    };
    static constexpr std::size_t ways = 4;
    static constexpr std::size_t sets = 1 << 12; // with the above, 400 KB

    Bucket& bucket_of(std::uint64_t network) noexcept;

    Time cost_{}; // of one answer
    std::uint64_t seed_;
    std::vector<Bucket> buckets_;
};

} // namespace p2prc::edge::dns
