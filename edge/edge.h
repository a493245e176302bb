// The edge as a whole: doors, relay, DNS, and the routes they share.
#pragma once

#include "core/route_table.h"
#include "edge/config.h"
#include "edge/listen/counters.h"
#include "net/identity.h"
#include "net/listen_fds.h"

#include <boost/asio/any_io_executor.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace p2prc::edge {

class Edge {
  public:
    Edge(boost::asio::any_io_executor executor, Config config);
    ~Edge();
    Edge(const Edge&) = delete;
    Edge& operator=(const Edge&) = delete;

    // Opens the doors: the sockets that systemd passed, else those of the configuration. Routes come first,
    // so that nobody is refused for lack of them.
    Result<void> listen(std::vector<net::PassedSocket> passed);

    // Whether all of `table` can be served: the first part that cannot, with file and line where it has one.
    static Result<void> check(const RouteTable& table);

    // Serves `table` from the next connection and query on. What was taken away goes first: connectors whose
    // key is gone, then routes. What cannot be served is left out, alone, and returned.
    std::vector<Rejection> apply(const RouteTable& table);

    // Answers DNS at exactly these endpoints from now on. What can be bound is bound; the error is the first
    // of the others.
    Result<void> listen_dns(const std::vector<net::Endpoint>& endpoints);

    // What the zones that are served say their addresses are.
    const std::vector<net::Address>& published() const noexcept;

    // Opens the way home through tunnels, with `identity` as the edge's own key. Before the first apply().
    Result<void> open_tunnels(const net::Identity& identity);

    // Takes no more connections but goes on with DNS; `drained` is called when those that are open have ended
    // or the drain time is over.
    void drain(std::function<void()> drained);

    std::size_t routes() const noexcept;
    bool has_tunnels() const noexcept;
    // Connectors that have a session.
    std::size_t homes() const;
    std::size_t connections() const noexcept;
    // Counters and gauges of all parts.
    nlohmann::json status() const;

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

} // namespace p2prc::edge
