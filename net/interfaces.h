// The addresses of this machine's interfaces.
#pragma once

#include "net/address.h"

#include <vector>

namespace p2prc::net {

struct InterfaceAddress {
    Address address;
    bool loopback = false; // the interface is; its addresses may be others than 127.0.0.1 and ::1
};

// Those of all interfaces that are up; empty if the kernel does not tell.
std::vector<InterfaceAddress> interface_addresses();

} // namespace p2prc::net
