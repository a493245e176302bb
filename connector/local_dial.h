// Connections to applications of this machine.
#pragma once

#include "net/address.h"
#include "net/fd.h"

#include <cstdint>
#include <set>

namespace p2prc::connector {

// Whether the other end of `socket` was made in one of `groups`; empty: any. p2prcd has checked who listens,
// but the port may have changed hands since then.
bool is_its_own(int socket, const std::set<std::uint64_t>& groups);

// A connection to the application's own listener, made without waiting; nothing if nobody accepts at once.
net::UniqueFd dial_at_once(const net::Endpoint& target, const std::set<std::uint64_t>& groups);

} // namespace p2prc::connector
