// Asks the system's resolver for addresses, without blocking a loop.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace p2prc::net {

// The addresses of a name, in the order of getaddrinfo(3), which runs in a thread of its own and may take as
// long as it likes: after `timeout` nobody waits for it. Unreachable names the name.
boost::asio::awaitable<Result<std::vector<Address>>> resolve(std::string name,
                                                             std::chrono::milliseconds timeout);

} // namespace p2prc::net
