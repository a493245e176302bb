// Bounds the logs of this node that other nodes read at the same time.
#pragma once

#include "daemon/fleet/control.h"

#include <cstddef>

namespace p2prc::daemon {

// Each is a reader of the journal with descriptors and an inotify instance, of which the kernel gives a user
// 128 (fs.inotify.max_user_instances).
inline constexpr std::size_t logs_for_other_nodes = 32;

// The same as `open`, which must not be empty, but that at most `most` of its streams live at once.
OpenLogs limit_logs(OpenLogs open, std::size_t most);

} // namespace p2prc::daemon
