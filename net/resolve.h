// Asks the system's resolver for addresses, without blocking a loop.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace p2prc::net {

// The addresses of a name, in the order of getaddrinfo(3). That runs in its own thread and may take any time;
// after `timeout` this returns Unreachable, which names the name.
boost::asio::awaitable<Result<std::vector<Address>>> resolve(std::string name,
                                                             std::chrono::milliseconds timeout);

} // namespace p2prc::net
