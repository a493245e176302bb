// What the kernel knows about a unit's main process before systemd does.
#pragma once

#include <cstdint>

namespace p2prc::process {

// Whether the process has ended and waits for its parent to take note. Of one that cannot be found nothing is
// known: what systemd says counts then.
bool main_process_ended(std::uint32_t pid);

} // namespace p2prc::process
