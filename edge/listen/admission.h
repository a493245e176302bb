// Limits entries per client (net::Address::limit_key): when one has reached its limit, its oldest entry is
// evicted.
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

template <class T>
class Admission {
  public:
    using Place = typename std::list<T>::iterator;

    explicit Admission(std::size_t address_limit) noexcept : address_limit_(address_limit) {}

    // The entry to evict before another one of `address` enters; nothing: there is room.
    std::optional<T> to_evict(const net::Address& address) const {
        const auto found = addresses_.find(address.limit_key());
        if (found == addresses_.end() || found->second.size() < address_limit_) return std::nullopt;
        return found->second.front();
    }
    Place enter(const net::Address& address, T who) {
        auto& all = addresses_[address.limit_key()];
        ++total_;
        return all.insert(all.end(), std::move(who));
    }
    // Call it once for each enter(), with the same address.
    void leave(const net::Address& address, Place place) {
        const auto found = addresses_.find(address.limit_key());
        --total_;
        found->second.erase(place);
        if (found->second.empty()) addresses_.erase(found);
    }

    std::size_t total() const noexcept { return total_; }

  private:
    std::size_t address_limit_;
    std::size_t total_ = 0;
    std::unordered_map<net::Address, std::list<T>> addresses_;
};

} // namespace p2prc::edge
