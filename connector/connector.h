// The home end of the tunnel: a session with each edge, and clients carried to what the table of mappings
// allows.
#pragma once

#include "connector/edge_link.h"
#include "connector/mappings.h"
#include "net/identity.h"
#include "tunnel/poller.h"

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
};

class Connector {
  public:
    using LinkChanged = std::function<void(const EdgeAddress&, const EdgeLinkStatus&)>;
    // What became of a client's call at the application of the mapping.
    using Answered = std::function<void(std::uint32_t mapping, tunnel::Answer)>;

    // The poller must outlive it. `changed` and `answered` may be empty.
    Connector(tunnel::Poller& poller, net::Identity identity, LinkChanged changed = {},
              EdgeLinkOptions options = {}, Answered answered = {});
    ~Connector();
    Connector(const Connector&) = delete;
    Connector& operator=(const Connector&) = delete;

    // Takes the table as it now is: links to edges that went are dropped, those to others kept. Clients under
    // way stay: their mapping was good when they came.
    void set_mappings(const MappingTable& table);
    // TLS for `domain` ends here with `context` from now on; null: no more.
    void set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context);
    void network_changed();
    // Ends the sessions with the edges: nobody new comes, and those under way stay.
    void leave();
    ConnectorStatus status() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
