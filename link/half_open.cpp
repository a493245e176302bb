#include "link/half_open.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace p2prc::link {

HalfOpen::Id HalfOpen::arrive(std::function<void()> drop) {
    if (waiting_.size() >= limits_.all) make_room();
    waiting_.push_back({.id = next_++, .drop = std::move(drop)});
    return waiting_.back().id;
}

void HalfOpen::name(Id id, const net::Address& address) {
    const auto it = std::ranges::find(waiting_, id, &Waiting::id);
    if (it == waiting_.end()) return;
    it->named = true;
    it->known = knows(address);
    it->near = it->known ? address.limit_key() : address.network(address.is_v4() ? 24 : 56);
    it->wide = it->known ? it->near : address.network(address.is_v4() ? 16 : 48);
    const auto neighbour = [&](const Waiting& other) {
        return other.named && other.known == it->known && other.near == it->near;
    };
    if (static_cast<std::size_t>(std::ranges::count_if(waiting_, neighbour)) > limits_.of_network)
        drop(std::ranges::find_if(waiting_, neighbour));
}

void HalfOpen::leave(Id id) {
    const auto it = std::ranges::find(waiting_, id, &Waiting::id);
    if (it != waiting_.end()) waiting_.erase(it);
}

void HalfOpen::remember(const net::Address& address) {
    const auto key = address.limit_key();
    if (const auto it = std::ranges::find(known_, key); it != known_.end()) known_.erase(it);
    known_.push_back(key);
    if (known_.size() > limits_.remembered) known_.pop_front();
}

bool HalfOpen::knows(const net::Address& address) const {
    return std::ranges::find(known_, address.limit_key()) != known_.end();
}

void HalfOpen::make_room() {
    using Network = std::tuple<bool, bool, net::Address>;
    const auto network = [](const Waiting& waiting) {
        return Network{waiting.known, waiting.named, waiting.wide};
    };
    std::map<Network, std::size_t> sizes;
    for (const auto& waiting : waiting_)
        ++sizes[network(waiting)];
    const auto rank = [&](const Waiting& waiting) {
        return std::pair(!waiting.known, sizes[network(waiting)]);
    };
    // Of equals the first, which is the oldest.
    auto victim = waiting_.begin();
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it)
        if (rank(*victim) < rank(*it)) victim = it;
    if (victim != waiting_.end()) drop(victim);
}

void HalfOpen::drop(std::list<Waiting>::iterator waiting) {
    const auto call = std::move(waiting->drop);
    waiting_.erase(waiting);
    call();
}

} // namespace p2prc::link
