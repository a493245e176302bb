// PROXY protocol version 2: the binary header that says for whom a connection is relayed.
//
// A pure codec over bytes (HAProxy's proxy-protocol.txt, section 2.2). The header comes from a relay and is
// information, never authentication.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "net/address.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace p2prc::net {

// Types of section 2.2; 0xE0-0xEF are for applications.
inline constexpr std::uint8_t proxy_tlv_alpn = 0x01;
inline constexpr std::uint8_t proxy_tlv_authority = 0x02;
inline constexpr std::uint8_t proxy_tlv_crc32c = 0x03;
inline constexpr std::uint8_t proxy_tlv_noop = 0x04;

struct ProxyTlv {
    std::uint8_t type = 0;
    Bytes value;
    friend bool operator==(const ProxyTlv&, const ProxyTlv&) = default;
};

struct ProxyHeader {
    enum class Command { Local, Proxy };
    Command command = Command::Proxy;
    bool datagram = false;
    // Absent for LOCAL and for families that are neither IPv4 nor IPv6.
    std::optional<Endpoint> source;
    std::optional<Endpoint> destination;
    std::vector<ProxyTlv> tlvs; // in order; without the padding type NOOP

    const ProxyTlv* find(std::uint8_t type) const noexcept; // the first of its type
    friend bool operator==(const ProxyHeader&, const ProxyHeader&) = default;
};

// The fixed part: signature, version and command, family, length.
inline constexpr std::size_t proxy_fixed_size = 16;
// Longer headers are refused: section 2.2 allows 65535 bytes, a real one takes well under 536.
inline constexpr std::size_t proxy_max_size = 4096;

// Source and destination are both set or both not; when their families differ, the IPv4 one is written mapped
// to IPv6. InvalidSpec when the result would be longer than proxy_max_size.
Result<Bytes> encode_proxy_header(const ProxyHeader& header);

// The size of the whole header that starts with `bytes`: nothing yet when there are fewer than
// proxy_fixed_size, InvalidSpec as soon as the bytes cannot be the start of a header of at most
// proxy_max_size.
Result<std::optional<std::size_t>> proxy_header_size(ByteView bytes);

// `bytes` is one whole header and no more.
Result<ProxyHeader> decode_proxy_header(ByteView bytes);

} // namespace p2prc::net
