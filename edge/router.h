// Decides where a connection goes, by its first bytes.
#pragma once

#include "edge/listen/counters.h"
#include "edge/listen/lingering_close.h"
#include "edge/listen/listener.h"
#include "edge/relay/dialer.h"
#include "edge/relay/upstream.h"
#include "edge/routes/snapshot.h"

#include <memory>
#include <optional>
#include <string>

namespace p2prc::edge {

struct RouterOptions {
    std::optional<Target> control; // p2prcd's socket; nothing: not in a fleet
};

class Router final : public ConnectionHandler {
  public:
    // All must outlive it.
    Router(RouterOptions options, Dialer& dialer, LingeringClose& lingering_close, Counters& counters);

    // Applies from the next connection on; open connections stay as they are.
    void set_routes(std::shared_ptr<const RouteSnapshot> routes) { routes_ = std::move(routes); }
    const RouteSnapshot& routes() const noexcept { return *routes_; }
    // Null: sessions, flow connections and routes without `to` are refused.
    void set_upstream(Upstream* upstream) noexcept { upstream_ = upstream; }

    void on_hello(Connection connection, ClientHello hello) override;
    void on_refused_hello(Connection connection, HelloRefusal refusal) override;
    void on_flow(Connection connection) override;
    void on_request(Connection connection, Protocol protocol, const HttpRequest& request) override;
    void on_refused_request(Connection connection, int status) override;

  private:
    void to_control(Connection connection, const ClientHello& hello);

    RouterOptions options_;
    Dialer& dialer_;
    LingeringClose& lingering_close_;
    Counters& counters_;
    std::shared_ptr<const RouteSnapshot> routes_;
    Upstream* upstream_ = nullptr;
};

} // namespace p2prc::edge
