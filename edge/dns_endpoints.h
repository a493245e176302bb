// Where DNS listens when nobody says where: port 53 on this machine's own addresses, never the wildcard.
#pragma once

#include "net/address.h"

#include <vector>

namespace p2prc::edge {

// The addresses that the world can reach; of a family that has none, the private ones (behind a 1:1 NAT they
// are what packets arrive at). Loopback and link-local addresses never: the local resolver lives there.
std::vector<net::Endpoint> own_dns_endpoints();

} // namespace p2prc::edge
