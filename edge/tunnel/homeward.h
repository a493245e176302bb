// The edge's way home: sessions and flow connections to the tunnels, clients through them.
#pragma once

#include "edge/relay/joiner.h"
#include "edge/router.h"
#include "edge/tunnel/tunnels.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace p2prc::edge {

class TunnelHomeward final : public Homeward {
  public:
    // All but `identity` must outlive it.
    static Result<std::unique_ptr<TunnelHomeward>> create(tunnel::Poller& poller, tunnel::Pumps& pumps,
                                                          Joiner& joiner, const net::Identity& identity);
    ~TunnelHomeward() override;

    // Fingerprints of the connectors that may serve. With a key that is gone everything of it ends at once,
    // clients that are being carried too.
    void allow(const std::vector<std::string>& connector_keys);

    void on_session(Connection connection) override;
    void on_flow(Connection connection) override;
    void carry(Connection connection, const Route& route, const std::string& name,
               std::string_view message) override;

    // Clients whose way home is being opened.
    std::size_t opening() const noexcept { return clients_.size(); }
    // Connectors that have a session.
    std::size_t homes() const;
    nlohmann::json status() const;

  private:
    class Client;

    TunnelHomeward(tunnel::Poller& poller, tunnel::Pumps& pumps, Joiner& joiner,
                   std::unique_ptr<Tunnels> tunnels);
    void opened(std::uint64_t number, Result<ReadyFlow> flow);
    // The client of that number is in nobody's care any more.
    std::unique_ptr<Client> release(std::uint64_t number);

    tunnel::Poller& poller_;
    tunnel::Pumps& pumps_;
    Joiner& joiner_;
    std::unique_ptr<Tunnels> tunnels_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::uint64_t last_client_ = 0;
    std::map<std::string, std::uint32_t> groups_; // in Pumps, of those who were carried to each key
    std::uint32_t last_group_ = 0;                // 0: connections that are carried to no connector
};

} // namespace p2prc::edge
