// The edge's way home: sessions and flow connections to the tunnels, clients through them.
#pragma once

#include "edge/router.h"
#include "edge/tunnel/tunnels.h"
#include "tunnel/pumps.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::edge {

class TunnelHomeward final : public Homeward {
  public:
    // All but `identity` must outlive it.
    static Result<std::unique_ptr<TunnelHomeward>> create(tunnel::Poller& poller, tunnel::Pumps& pumps,
                                                          Farewells& farewells, Counters& counters,
                                                          const net::Identity& identity);

    // Fingerprints of the connectors that may serve. With a key that is gone everything of it ends at once,
    // clients that are being carried too.
    void allow(const std::vector<std::string>& connector_keys);

    void on_session(Arrival arrival) override;
    void on_flow(Arrival arrival) override;
    void carry(Arrival arrival, const Route& route, const std::string& name, std::string_view sorry) override;

    // Connectors that have a session.
    std::size_t homes() const;
    nlohmann::json status() const;

  private:
    TunnelHomeward(tunnel::Poller& poller, tunnel::Pumps& pumps, Farewells& farewells, Counters& counters,
                   std::unique_ptr<Tunnels> tunnels);

    tunnel::Poller& poller_;
    tunnel::Pumps& pumps_;
    Farewells& farewells_;
    Counters& counters_;
    std::unique_ptr<Tunnels> tunnels_;
    std::map<std::string, std::uint32_t> groups_; // in Pumps, of those who were carried to each key
    std::uint32_t last_group_ = 0;                // 0: connections that are carried to no connector
};

} // namespace p2prc::edge
