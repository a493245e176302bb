// Where a member looks for its root: public addresses, those of the invitation, and those in the root's own
// network.
#pragma once

#include "core/records.h"
#include "daemon/fleet/settings.h"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <vector>

namespace p2prc::daemon {

// As many as a token holds.
inline constexpr std::size_t most_root_addresses = 16;

// The addresses of a machine that only its own network reaches, as a root tells them in its `/info/`: the
// router between may have no NAT loopback, so that a member beside it does not reach the public one.
std::vector<net::Address> private_addresses(std::span<const net::Address> of_machine);

// In the order in which they are tried: what the fleet says, what the invitation said (the root may have
// moved since, or the fleet's word may be wrong), and the private addresses of `root_info` but for those of
// this machine. The key says who is there. `fleet` and `root_info` may be null.
std::vector<net::Endpoint> root_endpoints(const RootReference& root, const FleetRecord* fleet,
                                          const nlohmann::json* root_info,
                                          std::span<const net::Address> of_this_machine, std::uint16_t port);

} // namespace p2prc::daemon
