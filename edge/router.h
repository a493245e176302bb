// Decides by its first bytes where a connection goes.
#pragma once

#include "edge/listen/counters.h"
#include "edge/listen/lingering_close.h"
#include "edge/listen/listener.h"
#include "edge/relay/dialer.h"
#include "edge/routes/snapshot.h"

#include <memory>
#include <optional>
#include <string>

namespace p2prc::edge {

// The way home, where there is a tunnel: what a connection for it is handed to.
class Homeward {
  public:
    virtual ~Homeward() = default;
    // A connector wants a session: ALPN p2prc-tunnel/1.
    virtual void on_session(Connection connection) = 0;
    // A connector has opened a flow connection: "P2PF".
    virtual void on_flow(Connection connection) = 0;
    // A client for a route without `to`. When there is no way, it is told `message` and closed.
    virtual void carry(Connection connection, const Route& route, const std::string& name,
                       std::string_view message) = 0;
};

struct RouterOptions {
    std::optional<Target> control; // p2prcd's socket; nothing: no fleet here
};

class Router final : public ConnectionHandler {
  public:
    // All must outlive it.
    Router(RouterOptions options, Dialer& dialer, LingeringClose& lingering_close, Counters& counters);

    // From the next connection on; those under way stay as they are.
    void set_routes(std::shared_ptr<const RouteSnapshot> routes) { routes_ = std::move(routes); }
    const RouteSnapshot& routes() const noexcept { return *routes_; }
    // Nothing: sessions, flow connections and routes without `to` are refused.
    void set_homeward(Homeward* homeward) noexcept { homeward_ = homeward; }

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
    Homeward* homeward_ = nullptr;
};

} // namespace p2prc::edge
