// The ports from which a registry chooses one for `port = 0`, and of which a node reports those in use.
#pragma once

#include <cstdint>

namespace p2prc {

// Below the kernel's ephemeral range (32768 and up, ip_local_port_range), so that no outgoing connection sits
// on a port that was chosen.
inline constexpr std::uint16_t first_chosen_port = 20000;
inline constexpr std::uint16_t last_chosen_port = 29999;

} // namespace p2prc
