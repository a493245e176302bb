// Endpoints as the kernel takes them.
#pragma once

#include "net/address.h"

#include <sys/socket.h>

namespace p2prc::net {

// Writes `endpoint` as a socket address, and returns its size.
socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) noexcept;

} // namespace p2prc::net
