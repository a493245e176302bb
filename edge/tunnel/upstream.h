// Passes sessions and flow connections of connectors to the tunnels, and carries clients through them.
#pragma once

#include "edge/relay/joiner.h"
#include "edge/relay/upstream.h"
#include "edge/tunnel/tunnels.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace p2prc::edge {

class TunnelUpstream final : public Upstream {
  public:
    // All but `identity` must outlive it.
    static Result<std::unique_ptr<TunnelUpstream>> create(tunnel::Poller& poller, tunnel::Pumps& pumps,
                                                          Joiner& joiner, const net::Identity& identity);
    ~TunnelUpstream() override;

    // Sets the fingerprints of the connectors that may serve. A removed key ends its sessions, flow
    // connections and clients at once.
    void allow(const std::vector<std::string>& connector_keys);

    // Asked for a client of a name that is about to be given up; null: nobody serves it through a tunnel.
    void look_up_with(std::function<const Route*(const std::string& name)> look_up);

    void on_session(Connection connection) override;
    void on_flow(Connection connection) override;
    void carry(Connection connection, const Route& route, const std::string& name,
               std::string_view message) override;

    // Clients that wait for their flow.
    std::size_t waiting() const noexcept { return clients_.size(); }
    // Connectors that have a session.
    std::size_t homes() const;
    nlohmann::json status() const;

  private:
    class Client;

    TunnelUpstream(tunnel::Poller& poller, tunnel::Pumps& pumps, Joiner& joiner,
                   std::unique_ptr<Tunnels> tunnels);
    void opened(std::uint64_t number, Result<ReadyFlow> flow);
    // The group in Pumps of the clients of a connector.
    std::uint32_t group_of(const std::string& connector_key);
    // Removes the client from `clients_`; the caller owns it.
    std::unique_ptr<Client> release(std::uint64_t number);

    tunnel::Poller& poller_;
    tunnel::Pumps& pumps_;
    Joiner& joiner_;
    std::unique_ptr<Tunnels> tunnels_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::uint64_t last_client_ = 0;
    std::map<std::string, std::uint32_t> groups_; // connector key to the group of its clients in Pumps
    std::uint32_t last_group_ = 0;                // group 0: connections to no connector
};

} // namespace p2prc::edge
