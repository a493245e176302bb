// What the router hands to the tunnels.
#pragma once

#include "core/route_table.h"
#include "edge/listen/connection.h"

#include <string>
#include <string_view>

namespace p2prc::edge {

// Takes the connections that have to do with tunnels.
class Upstream {
  public:
    virtual ~Upstream() = default;
    // A connector wants a session: ALPN p2prc-tunnel/1.
    virtual void on_session(Connection connection) = 0;
    // A connector has opened a flow connection: "P2PF".
    virtual void on_flow(Connection connection) = 0;
    // A client for a route without `to`. If no flow can be opened, it gets `message` and is closed.
    virtual void carry(Connection connection, const Route& route, const std::string& name,
                       std::string_view message) = 0;
};

} // namespace p2prc::edge
