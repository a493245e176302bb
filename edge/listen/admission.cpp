#include "edge/listen/admission.h"

namespace p2prc::edge {

bool Admission::enter(const net::Address& address) {
    auto& count = addresses_[key(address)];
    if (count >= address_limit_) return false;
    ++count;
    ++total_;
    return true;
}

void Admission::leave(const net::Address& address) noexcept {
    const auto found = addresses_.find(key(address));
    if (found == addresses_.end()) return;
    if (--found->second == 0) addresses_.erase(found);
    --total_;
}

} // namespace p2prc::edge
