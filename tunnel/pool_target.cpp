#include "tunnel/pool_target.h"

#include <algorithm>

namespace p2prc::tunnel {

bool PoolTarget::taken(std::uint32_t idle, std::uint32_t waiting) noexcept {
    lowest_ = std::min(lowest_, idle);
    std::uint32_t wanted = target_;
    if (idle < target_ / 4 + 1 && !rising_) wanted = target_ * 2;
    wanted = std::min(most, std::max(wanted, waiting * 2));
    if (wanted <= target_) return false;
    target_ = wanted;
    rising_ = true;
    return true;
}

void PoolTarget::arrived(std::uint32_t idle) noexcept {
    if (idle > target_ / 2) rising_ = false;
}

bool PoolTarget::settle(std::uint32_t idle) noexcept {
    const bool spare = lowest_ > target_ / 2;
    lowest_ = idle;
    rising_ = false;
    if (!spare || target_ == least) return false;
    target_ = std::max(least, target_ / 2);
    return true;
}

} // namespace p2prc::tunnel
