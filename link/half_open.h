// Limits half-open connections and decides which to evict, so that strangers cannot lock members out.
//
// Pure: knows addresses and numbers, no sockets.
#pragma once

#include "net/address.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>

namespace p2prc::link {

struct HalfOpenLimits {
    std::size_t all = 256;
    std::size_t of_network = 16; // of an IPv4 /24 or IPv6 /56, which a provider gives to one customer
    std::size_t remembered = 1024;
};

// A new connection is never refused: over a limit, one that waits is evicted. Over the limit for all, that is
// the oldest connection of the network (IPv4 /16, IPv6 /48) that has most; so connections of one hoster
// displace each other. An address from which a member was connected counts as a network of its own, and is
// evicted last.
class HalfOpen {
  public:
    using Id = std::uint64_t;

    explicit HalfOpen(HalfOpenLimits limits) : limits_(limits) {}

    // A connection, before it is known where it comes from. `drop` is called when it is evicted, after it has
    // left.
    Id arrive(std::function<void()> drop);
    void name(Id id, const net::Address& address);
    void leave(Id id);
    // A member's handshake from this address has succeeded.
    void remember(const net::Address& address);

    std::size_t size() const noexcept { return waiting_.size(); }
    // There are so many that they should get less time.
    bool crowded() const noexcept { return 2 * waiting_.size() > limits_.all; }

  private:
    struct Waiting {
        Id id;
        std::function<void()> drop;
        bool named = false;
        bool known = false;          // a member was connected from there
        net::Address near{}, wide{}; // its networks
    };
    bool knows(const net::Address& address) const;
    void make_room();
    void drop(std::list<Waiting>::iterator waiting);

    HalfOpenLimits limits_;
    Id next_ = 1;
    std::list<Waiting> waiting_;     // the oldest first
    std::deque<net::Address> known_; // the latest last
};

} // namespace p2prc::link
