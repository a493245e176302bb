// What a node is made of whatever its role: its stores, its key and name, and where its files are. The parts
// of Fleet share it.
#pragma once

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/settings.h"
#include "daemon/fleet/web_ca.h"
#include "net/identity.h"
#include "state/fleet_state.h"
#include "state/origins.h"

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

namespace p2prc::daemon {

// The web CA, which the registry asks for on the disk's thread.
class WebCaHolder {
  public:
    void set(WebCa ca);
    Result<std::string> sign(const std::string& domain, const std::string& request) const;

  private:
    mutable std::mutex mutex_;
    std::optional<WebCa> ca_;
};

struct NodeContext {
    boost::asio::any_io_executor executor;
    state::Disk& disk;
    state::Replica& replica;
    state::OwnState& own;
    FleetOptions options;
    OpenLogs logs_for_others; // the logs of this node, for other nodes
    state::Origins origins{own};
    std::shared_ptr<WebCaHolder> ca = std::make_shared<WebCaHolder>();
    std::optional<net::Identity> identity = {};
    FleetSettings settings = {};

    const std::string& name() const { return settings.name; }
    const std::string& key() const { return identity->fingerprint(); }
    // The replica does not list this node: the fleet has released it.
    bool is_released() const;
    std::optional<FleetRecord> fleet_record() const;

    std::filesystem::path settings_file() const { return options.directory / "fleet.json"; }
    std::filesystem::path registry_file() const { return options.directory / "registry.db"; }
    std::filesystem::path ca_directory() const { return options.directory / "web-ca"; }
    Result<void> save_settings(const FleetSettings& changed) const;
    Result<void> remove_registry_file() const;
};

} // namespace p2prc::daemon
