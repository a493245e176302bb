// Remembers which counters of a session have been used: each is valid once, and one far behind the newest
// never.
#pragma once

#include <array>
#include <cstdint>

namespace p2prc::tunnel {

// Counters arrive out of order, since each travels on a connection of its own: the window is as wide as the
// largest pool that is ever opened at once, several times over. The ring of words is that of RFC 6479.
class ReplayWindow {
  public:
    static constexpr std::uint64_t width = 8192;

    // Returns true the first time `counter` is used, unless it is `width` or more behind the newest. Verify
    // the MAC first, or a stranger could move the window.
    bool use(std::uint64_t counter) noexcept;

  private:
    static constexpr std::uint64_t words = width / 64 + 1;
    std::array<std::uint64_t, words> seen_{};
    std::uint64_t newest_ = 0;
};

} // namespace p2prc::tunnel
