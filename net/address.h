// IP addresses and endpoints as values: one form for each, whatever socket they came from.
#pragma once

#include "core/error.h"

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct sockaddr;

namespace p2prc::net {

// An IPv4 or IPv6 address. `::ffff:a.b.c.d` is always turned into a.b.c.d, so that a limit or a header means
// the same client whichever socket it came through.
class Address {
  public:
    Address() noexcept = default; // 0.0.0.0
    static Address v4(const std::array<std::uint8_t, 4>& bytes) noexcept;
    static Address v6(const std::array<std::uint8_t, 16>& bytes) noexcept;
    // Without brackets, port or zone ("%eth0").
    static Result<Address> parse(std::string_view text);

    bool is_v4() const noexcept { return v4_; }
    bool is_v6() const noexcept { return !v4_; }
    bool is_loopback() const noexcept;
    bool is_link_local() const noexcept;
    // Reachable from anywhere: not loopback, link-local, private (RFC 1918, RFC 4193), shared (RFC 6598),
    // multicast or unspecified. Documentation prefixes count as global.
    bool is_global() const noexcept;
    std::string text() const;
    // Network byte order; the first four count for IPv4, the others are 0.
    const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
    // The address with all bits after the first `bits` cleared.
    Address network(unsigned bits) const noexcept;
    // What a limit on addresses counts as one client: an IPv4 address, and the /64 of IPv6 in which one
    // subscriber or machine has all its addresses. Limits on answers to addresses that may be forged count
    // whole networks instead (edge/dns/rate_limit.h).
    Address limit_key() const noexcept { return v4_ ? *this : network(64); }

    friend auto operator<=>(const Address&, const Address&) noexcept = default;

  private:
    bool v4_ = true;
    std::array<std::uint8_t, 16> bytes_{};
};

struct Endpoint {
    Address address;
    std::uint16_t port = 0;

    // "203.0.113.1:443" or "[2001:db8::1]:443".
    static Result<Endpoint> parse(std::string_view text);
    // Of AF_INET or AF_INET6; 0.0.0.0:0 for anything else.
    static Endpoint from_sockaddr(const sockaddr* name, std::size_t size) noexcept;
    std::string text() const;

    friend auto operator<=>(const Endpoint&, const Endpoint&) noexcept = default;
};

// The end of a connected socket, ours or the peer's; 0.0.0.0:0 when it is not an IP socket.
Endpoint local_endpoint(int socket) noexcept;
Endpoint peer_endpoint(int socket) noexcept;

} // namespace p2prc::net

template <>
struct std::hash<p2prc::net::Address> {
    std::size_t operator()(const p2prc::net::Address& address) const noexcept {
        const auto& bytes = address.bytes();
        return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) ^
               static_cast<std::size_t>(address.is_v4());
    }
};
