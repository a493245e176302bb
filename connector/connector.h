// The home end of the tunnel: keeps a session with each edge, and passes clients to the targets that the
// table of mappings allows.
#pragma once

#include "connector/edge_link.h"
#include "connector/mappings.h"
#include "net/identity.h"
#include "tunnel/poller.h"
#include "tunnel/traffic.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

struct ssl_ctx_st;

namespace p2prc::connector {

struct ConnectorStatus {
    std::map<std::string, EdgeLinkStatus> edges; // by address
    std::size_t clients = 0;
    std::size_t held = 0; // clients that wait for their application
};

class Connector {
  public:
    using LinkChanged = std::function<void(const EdgeAddress&, const EdgeLinkStatus&)>;
    // How the mapping's application answered a client.
    using Answered = std::function<void(std::uint32_t mapping, tunnel::Answer)>;

    // The poller must outlive it. `changed` and `answered` may be empty.
    Connector(tunnel::Poller& poller, net::Identity identity, LinkChanged changed = {},
              EdgeLinkOptions options = {}, Answered answered = {});
    ~Connector();
    Connector(const Connector&) = delete;
    Connector& operator=(const Connector&) = delete;

    // Takes a new table: drops links to edges that are gone and keeps the others. Clients stay connected,
    // because their mapping was valid when they connected.
    void set_mappings(const MappingTable& table);
    // Terminates TLS for `domain` with `context` from now on; null: no longer.
    void set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context);
    void network_changed();
    // Ends the sessions with the edges: accepts no new clients and keeps the connected ones.
    void leave();
    ConnectorStatus status() const;
    // Of each mapping that the table has, since the start.
    std::map<std::uint32_t, tunnel::Traffic> traffic() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
