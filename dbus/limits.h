// How large messages may be: what is sent, and what is read of p2prcd's answers.
#pragma once

#include "dbus/codec.h"

#include <cstddef>

namespace p2prc::dbus {

// dbus-daemon ends the connection of a program that sends a larger message than it takes, which are 32 MiB on
// the system bus (max_message_size in dbus-daemon(1)). What would be larger than this is never sent.
inline constexpr std::size_t largest_message = std::size_t{30} << 20U;

// Of p2prcd's answers, which those who ask trust: lists of some tens of thousands of rows.
inline constexpr CodecLimits answer_limits{.depth = 16, .values = 2'000'000, .bytes = largest_message};

} // namespace p2prc::dbus
