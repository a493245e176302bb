// The journal of a process of this node as a stream of text.
#pragma once

#include "daemon/api/view.h"
#include "daemon/fleet/control.h"

#include <boost/asio/any_io_executor.hpp>

namespace p2prc::daemon {

// Opens {process, lines, follow} with journalctl, which ends with its stream. `view` must outlive it.
OpenLogs journal_logs(boost::asio::any_io_executor executor, const View& view);

} // namespace p2prc::daemon
