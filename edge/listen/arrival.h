// A connection that a client opened, with all that it has said so far.
#pragma once

#include "net/address.h"
#include "net/fd.h"

#include <string>

namespace p2prc::edge {

struct Arrival {
    net::UniqueFd socket; // non-blocking
    bool polled = false;  // registered with the program's Poller
    net::Endpoint peer;
    std::string received; // from its first byte, unchanged
};

// Where it came in: port 443, or port 80.
enum class Door { Tls, Http };

} // namespace p2prc::edge
