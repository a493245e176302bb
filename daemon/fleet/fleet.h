// This node's role in its fleet: standalone, root, or member. The daemon creates one of
// these.
//
// Alone and as a root the registry is in this process; as a member it is at the other end of the control
// link. gateway() stays the same throughout.
#pragma once

#include "daemon/fleet/control.h"
#include "daemon/fleet/hub.h"
#include "daemon/fleet/member_link.h"
#include "daemon/fleet/units.h"
#include "link/server.h"
#include "net/fd.h"
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace p2prc::daemon {

inline constexpr std::uint16_t edge_port = 443;

struct FleetOptions {
    std::filesystem::path directory; // "/var/lib/p2prc": key.pem, fleet.json, registry.db, web-ca/
    std::string host_name;           // names the node when it is new
    net::UniqueFd control_socket;    // of p2prcd-control.socket; none: no node can connect
    OpenLogs open_logs;              // the logs of this node's own processes
    MeasureUsage measure_usage;      // what they use; empty: it is not measured
    // This node's name has changed (it was initialised or joined with another one). Called before anything
    // is reported under it.
    std::function<void(const std::string& name)> node_renamed;
    // The control link of a member came up or went down.
    std::function<void(bool up, const std::string& reason)> link_changed;
    // `[remote] spin` of p2prcd.toml, asked for whenever this node tells about itself.
    std::function<std::string()> remote_spin;
    // The deployers of this machine (core/deployer_report.h), asked for at the same times; empty: not told.
    std::function<Json()> deployers;
    // Why the settings in p2prcd's files are not in force; empty when they are. Asked for at the same times.
    std::function<std::string()> settings_error;
    // Somebody on some node looks at what processes use.
    std::function<void()> looked;
    // The program that gets certificates from an ACME server; empty: it is not looked for.
    std::filesystem::path acme_client;
    UnitControl* units = nullptr; // nullptr: no edge and connector are turned on
    // For tests.
    std::uint16_t root_port = edge_port;
    LinkTiming link_timing;
    HubTiming hub_timing;
    link::ServerLimits server_limits;
};

class Fleet : public FleetControl {
  public:
    // All of them must outlive it.
    Fleet(boost::asio::any_io_executor executor, state::Disk& disk, state::Replica& replica,
          state::OwnState& own, FleetOptions options);
    ~Fleet() override;

    // Opens the registry or dials the root. When it returns, node_name(), is_root() and gateway() can be
    // used; a root that is away is no error.
    boost::asio::awaitable<Result<void>> start();

    // What `remote_spin`, `deployers` or `settings_error` says may be another thing now: the fleet is told.
    void settings_changed();

    const std::string& key() const; // this node's fingerprint

    std::string node_name() const override;
    bool is_root() const override;
    registry::Gateway& gateway() override;
    boost::asio::awaitable<void> wait_back() override;
    boost::asio::awaitable<Result<Json>> init(Json options, std::string by) override;
    boost::asio::awaitable<Result<Json>> invite(std::string role, std::uint64_t expires_seconds,
                                                std::string by) override;
    boost::asio::awaitable<Result<Json>> join(std::string token, std::string name, std::string by) override;
    boost::asio::awaitable<Result<void>> leave(bool force, std::string by) override;
    boost::asio::awaitable<Result<void>> remove_node(std::string name, std::string by) override;
    Result<std::string> web_ca() const override;
    void look() override;
    boost::asio::awaitable<Json> usage(std::string node) override;
    boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>> logs(std::string node,
                                                                           Json params) override;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

} // namespace p2prc::daemon
