#include "tunnel/replay_window.h"

#include <algorithm>

namespace p2prc::tunnel {

bool ReplayWindow::use(std::uint64_t counter) noexcept {
    if (counter > newest_) {
        // Words between the newest and this one hold counters of a round before: forget them.
        const std::uint64_t ahead = std::min(counter / 64 - newest_ / 64, words);
        for (std::uint64_t i = 1; i <= ahead; ++i)
            seen_[(newest_ / 64 + i) % words] = 0;
        newest_ = counter;
    } else if (newest_ - counter >= width) {
        return false;
    }
    std::uint64_t& word = seen_[counter / 64 % words];
    const std::uint64_t bit = std::uint64_t{1} << counter % 64;
    if (word & bit) return false;
    word |= bit;
    return true;
}

} // namespace p2prc::tunnel
