// Copies log text from a stream to a descriptor that a client reads.
#pragma once

#include "daemon/fleet/control.h"
#include "net/fd.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace p2prc::daemon {

// The reading end. The other one is fed on `executor` until the stream ends or the reader closes its end, and
// then the stream is destroyed.
Result<std::shared_ptr<net::UniqueFd>> pump_logs(boost::asio::any_io_executor executor,
                                                 std::unique_ptr<link::TextStream> stream);

} // namespace p2prc::daemon
