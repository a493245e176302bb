// The journal of a process of this node as a stream of text.
#pragma once

#include "daemon/api/view.h"
#include "daemon/fleet/control.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>

namespace p2prc::daemon {

// Each holds the journal's files open. When another one is opened, the oldest ends.
inline constexpr std::size_t most_log_streams = 32;

// Opens {process, lines, follow}. The text is fit for terminals, each entry "TIME HOST PROGRAM[PID]: TEXT",
// with the further lines of a text indented. The journal is read in this process, on a thread, and all that
// follow share one inotify instance: uid 0 has 128 of them. `view` must outlive it.
OpenLogs journal_logs(boost::asio::any_io_executor executor, const View& view);

} // namespace p2prc::daemon
