// All of p2prcd's objects on the bus, registered in an order in which no client sees only some of them.
#pragma once

#include "core/process_spec.h"
#include "daemon/api/authorisation.h"
#include "daemon/api/events.h"
#include "daemon/api/helpers.h"
#include "daemon/fleet/control.h"
#include "dbus/bus.h"
#include "state/own_state.h"
#include "state/state.h"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::daemon {

class View;

struct ApiParts {
    dbus::Bus& bus;
    FleetControl& fleet;
    state::State& replica;
    state::OwnState& own;
    // What this node refuses to spin.
    std::function<Result<void>(const ProcessSpec&)> check_spec = {};
    // Has systemd keep what a node has spun here to its limits.
    std::function<boost::asio::awaitable<Result<void>>(std::string node)> apply_limits = {};
    IssueCertificate issue_certificate = {};
    // Removes what deployers have left here: of a name, or, of an empty one, of all.
    std::function<boost::asio::awaitable<Result<Json>>(std::string name)> clean_deployments = {};
    HelperUsers users = {};
    // Whether this node lets a process of the agreed state run here; empty: any.
    Accepts accepts = {};
    Ports ports = {};
    // Why processes are not kept to their ports here; nothing: they are.
    std::function<std::optional<Error>()> unconfined = {};
    EventTiming events = {};
    std::filesystem::path cgroup_root = "/sys/fs/cgroup";
};

class Api {
  public:
    // All parts must outlive it.
    explicit Api(ApiParts parts);
    ~Api();

    // Registers the objects, then takes the bus name: whoever finds the name finds everything.
    boost::asio::awaitable<Result<void>> start();

    // The link to the registry went up or down.
    void link_changed();

    const View& view() const;

    // What the processes of this node use: a NodeUsage.
    boost::asio::awaitable<Result<Json>> measure_usage();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace p2prc::daemon
