// Calls whose size limits are higher than the usual ones.
#pragma once

#include "dbus/codec.h"

namespace p2prc::dbus {

// The table of routes: some tens of thousands of names. dbus-daemon takes messages of up to 32 MiB (its
// max_message_size on the system bus).
inline constexpr CodecLimits route_table_limits{
    .depth = 16, .values = 2'000'000, .bytes = std::size_t{28} << 20U};

} // namespace p2prc::dbus
