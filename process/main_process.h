// What the kernel knows about a unit's main process before systemd does.
#pragma once

#include <cstdint>

namespace p2prc::process {

// Whether the process has ended and waits for its parent to take note. False when it cannot be found: then
// what systemd says counts.
bool main_process_ended(std::uint32_t pid);

} // namespace p2prc::process
