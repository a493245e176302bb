// Where a relayed connection is dialled to: an IP endpoint or a Unix socket, ready for connect(2).
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <sys/socket.h>

#include <string>

namespace p2prc::edge {

struct Target {
    sockaddr_storage name{};
    socklen_t size = 0;

    static Target of(const net::Endpoint& endpoint) noexcept;
    // InvalidSpec when the path is too long for a Unix socket.
    static Result<Target> unix_socket(const std::string& path);

    const sockaddr* address() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
    int family() const noexcept { return name.ss_family; }
};

} // namespace p2prc::edge
