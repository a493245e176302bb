// From the bytes of a request to the bytes of its answer: pure, without allocation, all the network path
// there is.
#pragma once

#include "edge/dns/constants.h"
#include "edge/dns/request.h"
#include "edge/dns/snapshot.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace p2prc::edge::dns {

enum class Transport : std::uint8_t { Udp, Tcp };

struct Answer {
    std::size_t size = 0; // bytes written; 0: no answer is to be sent
    Rcode rcode = Rcode::NoError;
    bool truncated = false;
};

// The most that answer() writes, and so what `out` must hold at least.
inline constexpr std::size_t answer_limit(Transport transport) noexcept {
    return transport == Transport::Udp ? udp_edns : tcp_limit;
}

// Answers `bytes` from `snapshot` into `out`. `request` is scratch space, left filled with what was read.
Answer answer(std::span<const std::uint8_t> bytes, const Snapshot& snapshot, Transport transport,
              Request& request, std::span<std::uint8_t> out) noexcept;

// The same for a question over UDP that is to get nothing but the advice to ask over TCP: no answer is longer
// than its question.
Answer truncated_answer(std::span<const std::uint8_t> bytes, Request& request,
                        std::span<std::uint8_t> out) noexcept;

} // namespace p2prc::edge::dns
