#include "store/sqlite/leases.h"

namespace p2prc::store {

bool Leases::keep_alive(std::uint64_t lease) {
    const auto it = leases_.find(lease);
    if (it == leases_.end()) return false;
    it->second.deadline = clock_() + it->second.time;
    return true;
}

std::vector<std::uint64_t> Leases::expired() const {
    std::vector<std::uint64_t> gone;
    const auto now = clock_();
    for (const auto& [id, lease] : leases_)
        if (lease.deadline <= now) gone.push_back(id);
    return gone;
}

} // namespace p2prc::store
