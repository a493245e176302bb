// Limits entries per client address: when an address has reached its limit, its oldest entry is evicted.
//
// Refusing the newest instead would let one client lock out everybody who shares its address.
#pragma once

#include "net/address.h"

#include <cstddef>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace p2prc::edge {

// Counts each IPv4 address, and each IPv6 /64, because a subscriber gets a whole /64.
template <class T>
class Admission {
  public:
    using Place = typename std::list<T>::iterator;

    explicit Admission(std::size_t address_limit) noexcept : address_limit_(address_limit) {}

    // The entry to evict before another one of `address` enters; nothing: there is room.
    std::optional<T> to_evict(const net::Address& address) const {
        const auto found = addresses_.find(key(address));
        if (found == addresses_.end() || found->second.size() < address_limit_) return std::nullopt;
        return found->second.front();
    }
    Place enter(const net::Address& address, T who) {
        auto& all = addresses_[key(address)];
        ++total_;
        return all.insert(all.end(), std::move(who));
    }
    // Call it once for each enter(), with the same address.
    void leave(const net::Address& address, Place place) {
        const auto found = addresses_.find(key(address));
        --total_;
        found->second.erase(place);
        if (found->second.empty()) addresses_.erase(found);
    }

    std::size_t total() const noexcept { return total_; }

  private:
    static net::Address key(const net::Address& address) noexcept {
        return address.is_v4() ? address : address.network(64);
    }

    std::size_t address_limit_;
    std::size_t total_ = 0;
    std::unordered_map<net::Address, std::list<T>> addresses_;
};

} // namespace p2prc::edge
