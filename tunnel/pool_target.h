// How many idle flow connections a session should have: grows when they run short, shrinks when they are not
// used.
#pragma once

#include <cstdint>

namespace p2prc::tunnel {

class PoolTarget {
  public:
    static constexpr std::uint32_t least = 4;
    static constexpr std::uint32_t most = 1024;

    std::uint32_t target() const noexcept { return target_; }

    // A flow connection was taken, `idle` are left and `waiting` clients found none. Returns true when
    // the target rose.
    bool taken(std::uint32_t idle, std::uint32_t waiting) noexcept;
    // New ones have arrived: now `idle` are idle.
    void arrived(std::uint32_t idle) noexcept;
    // Call this every few seconds. Returns true when the target fell.
    bool settle(std::uint32_t idle) noexcept;

  private:
    std::uint32_t target_ = least;
    std::uint32_t lowest_ = least; // the fewest idle ones since settle()
    // After a rise the connector needs a round trip: no further rise by doubling until the pool has
    // recovered.
    bool rising_ = false;
};

} // namespace p2prc::tunnel
