// How many flow connections a session should hold ready: grows when they run short, shrinks when they lie
// about.
#pragma once

#include <cstdint>

namespace p2prc::tunnel {

class PoolTarget {
  public:
    static constexpr std::uint32_t least = 4;
    static constexpr std::uint32_t most = 1024;

    std::uint32_t target() const noexcept { return target_; }

    // A flow connection was taken, `idle` are left and `waiting` clients found none. True when the target
    // rose.
    bool taken(std::uint32_t idle, std::uint32_t waiting) noexcept;
    // New ones have arrived: `idle` lie ready.
    void arrived(std::uint32_t idle) noexcept;
    // To be called every few seconds. True when the target fell.
    bool settle(std::uint32_t idle) noexcept;

  private:
    std::uint32_t target_ = least;
    std::uint32_t lowest_ = least; // the fewest that lay ready since settle()
    // After a rise the connector needs a round trip: no further rise by doubling until the pool has
    // recovered.
    bool rising_ = false;
};

} // namespace p2prc::tunnel
