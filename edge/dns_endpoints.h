// Where DNS listens when nobody says where: port 53 on this machine's own addresses, never the wildcard.
#pragma once

#include "net/address.h"

#include <span>
#include <vector>

namespace p2prc::edge {

// Of `own` addresses those that questions arrive at, sorted, each once. Of each family the global ones; where
// there is none, or none is among the `published` ones of that family (those of the zones), the private ones
// too: behind a 1:1 NAT, as of a reserved address in a cloud, packets arrive at one of them. Loopback and
// link-local addresses never: the local resolver lives there.
std::vector<net::Address> choose_dns_addresses(std::span<const net::Address> own,
                                               std::span<const net::Address> published);

// Port 53 on the choice from this machine's addresses as they are now.
std::vector<net::Endpoint> own_dns_endpoints(std::span<const net::Address> published);

} // namespace p2prc::edge
