// The edge as a whole: listener, relay, DNS, and the routes they share.
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

    // Starts listening on the sockets that systemd passed, else on those of the configuration. Apply routes
    // first, or early clients are refused.
    Result<void> listen(std::vector<net::PassedSocket> passed);

    // Checks whether all of `table` can be served. The error is about the first part that cannot, with file
    // and line if it has one.
    static Result<void> check(const RouteTable& table);

    // Serves `table` from the next connection and query on. Removals come first: connectors whose key is
    // gone, then routes. Parts that cannot be served are left out and returned.
    std::vector<Rejection> apply(const RouteTable& table);

    // Answers DNS at exactly these endpoints from now on. Binds all that it can; the error is about the first
    // that it could not.
    Result<void> listen_dns(const std::vector<net::Endpoint>& endpoints);

    // The addresses that the served zones publish.
    const std::vector<net::Address>& published() const noexcept;

    // Accepts tunnels, with `identity` as the edge's own key. Call it before the first apply().
    Result<void> open_tunnels(const net::Identity& identity);

    // Stops accepting connections but keeps answering DNS. Calls `drained` when the open connections have
    // ended or the drain time is over.
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
