// Opens TCP connections, with a timeout.
#pragma once

#include "core/error.h"
#include "net/address.h"
#include "net/fd.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <span>

namespace p2prc::net {

// A connected socket, close-on-exec and without Nagle's delay; what is sent and not acknowledged within
// `user_timeout` breaks the connection (TCP_USER_TIMEOUT; 0: the system's default). Unreachable names the
// endpoint.
boost::asio::awaitable<Result<UniqueFd>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                              std::chrono::milliseconds user_timeout = {});

// Whether this machine has a way to the address. connect() on a UDP socket looks for a route and sends
// nothing.
bool has_route(const Endpoint& endpoint);

} // namespace p2prc::net
