// What the sockets of one server share: the snapshot they answer from, and the counters.
#pragma once

#include "edge/dns/answer.h"
#include "edge/dns/rate_limit.h"
#include "edge/dns/snapshot.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>

namespace p2prc::edge::dns {

struct Counters {
    std::uint64_t udp_queries = 0;
    std::uint64_t tcp_queries = 0;
    std::uint64_t dropped = 0;      // not a request: shorter than a header, or a response
    std::uint64_t truncated = 0;    // answers with TC
    std::uint64_t rate_slipped = 0; // over the rate of a network: empty answers with TC
    std::uint64_t rate_dropped = 0; // and none
    std::uint64_t send_failed = 0;  // answers over UDP that the kernel did not take
    std::uint64_t tcp_accepted = 0;
    std::uint64_t tcp_refused = 0;          // that made room for another: too many, in all or of an address
    std::uint64_t tcp_open = 0;             // now
    std::array<std::uint64_t, 17> rcodes{}; // answers by RCODE; BADVERS is the last
};

// Used by one thread.
struct Service {
    std::shared_ptr<const Snapshot> snapshot = Snapshot::build({});
    Counters counters;
    RateLimit limit{0, 0};
    Request request; // scratch

    // Size of the answer in `out`, 0 for none.
    std::size_t serve(std::span<const std::uint8_t> bytes, Transport transport,
                      std::span<std::uint8_t> out) noexcept {
        ++(transport == Transport::Udp ? counters.udp_queries : counters.tcp_queries);
        return count(answer(bytes, *snapshot, transport, request, out));
    }

    // The same for a datagram of `from`, within the rate of its network.
    std::size_t serve_udp(std::span<const std::uint8_t> bytes, const net::Address& from, RateLimit::Time now,
                          std::span<std::uint8_t> out) noexcept {
        const Verdict verdict = limit.judge(from, now);
        if (verdict == Verdict::Answer) return serve(bytes, Transport::Udp, out);
        ++counters.udp_queries;
        ++(verdict == Verdict::Drop ? counters.rate_dropped : counters.rate_slipped);
        return verdict == Verdict::Drop ? 0 : count(truncated_answer(bytes, request, out));
    }

  private:
    std::size_t count(const Answer& made) noexcept {
        if (made.size == 0) {
            ++counters.dropped;
            return 0;
        }
        ++counters.rcodes[static_cast<std::size_t>(made.rcode)];
        counters.truncated += made.truncated ? 1 : 0;
        return made.size;
    }
};

} // namespace p2prc::edge::dns
