// What a node measures about itself for the list of nodes.
#pragma once

#include "net/address.h"

#include <nlohmann/json_fwd.hpp>

#include <vector>

namespace p2prc::daemon {

// Addresses of this machine's interfaces that are up, without loopback and link-local ones.
std::vector<net::Address> own_addresses();
// Those IPv6 addresses of it that are given up again after some hours (RFC 8981), from /proc/net/if_inet6.
std::vector<net::Address> temporary_addresses();

// {version, arch, os, cpus, memory_bytes, ipv4, ipv6, ssh_port, ports_in_use}: of several addresses the one
// that is reachable from everywhere is taken; what cannot be found out is null.
nlohmann::json measure_node();

// Whether somebody listens for TCP on `port` on another address than loopback.
bool listens_on(std::uint16_t port);

} // namespace p2prc::daemon
