// How many connections wait to say what they want: in all, and at most so many from one address.
#pragma once

#include "net/address.h"

#include <cstddef>
#include <unordered_map>

namespace p2prc::edge {

// An IPv4 address counts by itself, an IPv6 address as its /64: that is what one subscriber gets.
class Admission {
  public:
    explicit Admission(std::size_t address_limit) noexcept : address_limit_(address_limit) {}

    // False, and nothing is counted, when the address has its share.
    bool enter(const net::Address& address);
    // For each enter that was true.
    void leave(const net::Address& address) noexcept;

    std::size_t total() const noexcept { return total_; }

  private:
    static net::Address key(const net::Address& address) noexcept {
        return address.is_v4() ? address : address.network(64);
    }

    std::size_t address_limit_;
    std::size_t total_ = 0;
    std::unordered_map<net::Address, std::size_t> addresses_;
};

} // namespace p2prc::edge
