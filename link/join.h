// Both ends of joining a fleet, over TLS with the invitation's secret.
#pragma once

#include "core/json.h"
#include "link/token.h"
#include "net/tls.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>

namespace p2prc::link {

// The new node's end: node.join with `params` and a proof of the node's key, answered by the registry's
// result. NotPermitted when the root does not know the invitation (any more), Unreachable names what was
// dialled.
boost::asio::awaitable<Result<Json>> redeem(boost::asio::any_io_executor executor, JoinToken token,
                                            net::Identity identity, Json params);

// Answers the params of a node.join, in which "invitation" and "key" are verified.
using Admit = std::function<boost::asio::awaitable<Result<Json>>(Json params)>;

// The root's end of a connection whose secret was verified: one node.join for that invitation, and nothing
// else. The node's key is the one that it has proved to hold, whatever else it says: who holds an invitation
// cannot pass for a member.
boost::asio::awaitable<void> serve_join(boost::asio::any_io_executor executor, Admit admit,
                                        net::TlsStream stream, net::Endpoint source);

} // namespace p2prc::link
