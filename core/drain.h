// How long the draining of a node may be tried: said by commands, and checked by p2prcd.
#pragma once

#include <chrono>

namespace p2prc {

inline constexpr std::chrono::seconds longest_drain = std::chrono::hours(24);

} // namespace p2prc
