// A connection that a client opened, with all that it has sent so far.
#pragma once

#include "net/address.h"
#include "net/fd.h"
#include "tunnel/poller.h"

#include <cstdint>
#include <string>

namespace p2prc::edge {

struct Connection {
    net::UniqueFd socket; // non-blocking
    bool polled = false;  // registered with the program's Poller
    net::Endpoint peer;
    std::string received; // from its first byte, unchanged
};

// From now on only `handler` is told of `events` on the connection. Returns false if the kernel refuses.
inline bool watch(tunnel::Poller& poller, Connection& connection, std::uint32_t events,
                  tunnel::PollHandler& handler, unsigned which) {
    const int fd = connection.socket.get();
    const auto watched = connection.polled ? poller.change(fd, events, handler, which)
                                           : poller.add(fd, events, handler, which);
    if (watched) connection.polled = true;
    return watched.has_value();
}

// What a listening socket is for: TLS (port 443) or plain HTTP (port 80).
enum class Protocol { Tls, Http };

} // namespace p2prc::edge
