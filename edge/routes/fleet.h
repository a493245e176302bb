// Gets routes from this machine's p2prcd over D-Bus, follows its changes, and caches them for a cold start.
#pragma once

#include "core/route_table.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::edge {

struct FleetRoutesOptions {
    std::string fingerprint; // of this edge's key, registered with p2prcd
    std::string cache_file;  // the table last served
    std::string bus_address; // empty: the system bus
    std::function<std::vector<Rejection>(const RouteTable&)> apply;
    std::function<nlohmann::json()> status; // reported to p2prcd now and then
};

class FleetRoutes {
  public:
    FleetRoutes(boost::asio::any_io_executor executor, FleetRoutesOptions options);
    ~FleetRoutes();

    // Serves the cached table, if there is one, so that names are routed before p2prcd runs.
    void load_cache();
    // Runs for ever; logs each failure once and retries. Must not outlive this object.
    boost::asio::awaitable<void> run();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace p2prc::edge
