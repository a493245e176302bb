// Brings the units of this node to the desired state, and records what happens.
#pragma once

#include "core/bind_rule.h"
#include "process/data_directories.h"
#include "process/deployment.h"
#include "process/health.h"
#include "process/journal_tail.h"
#include "process/notifiers.h"
#include "process/plan.h"
#include "process/port_target.h"
#include "process/systemd.h"
#include "state/own_state.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::process {

struct ReconcilerOptions {
    std::string node;
    std::string boot_id;
    std::string ended_boot; // the boot that is known to have ended in order; empty: none
    RemoteSpin remote_spin = RemoteSpin::Sandboxed;
    std::vector<std::string> remote_deployers = {}; // builders that other nodes may use
    DataDirectories data;
    // Where units of administrators and packages lie: a process may not take their names.
    std::vector<std::filesystem::path> unit_directories;
    // Refuses a start while another program holds the process's port (0: it has none).
    std::function<Result<void>(std::uint16_t port, std::string_view process)> check_port =
        [](std::uint16_t port, std::string_view process) { return check_port_is_free(port, process); };
    std::function<void(std::string_view message, std::string_view process)>
        warn; // what its operator should know
    // What failed too often is tried again after the first pause, then after ever longer ones.
    std::chrono::milliseconds first_retry_pause{8'000};
    std::chrono::milliseconds longest_retry_pause{60'000};
    // The same for the programs that keep processes to their ports.
    std::chrono::milliseconds first_ports_pause{30'000};
    std::chrono::milliseconds longest_ports_pause{3'600'000};
    // How long a revision that is ready has to stay up before it counts as good, and how long an update whose
    // file has no limit of its own may take to be ready.
    std::chrono::milliseconds confirm{10'000};
    std::chrono::milliseconds update_limit{120'000};
    // How long one that an update has replaced by another beside it may take to end its connections, how
    // often it is looked whether it has, and how: the connector must have heard of the other one before the
    // first.
    std::chrono::milliseconds drain{30'000};
    std::chrono::milliseconds drain_look{2'000};
    std::function<bool(std::uint16_t port)> has_connections = [](std::uint16_t port) {
        return net::has_connections(port).value_or(true);
    };
    std::filesystem::path pins{bind_programs_directory}; // of those programs
    DeploymentOptions deployments = {};
    NotifierOptions notifiers = {};
    // Where it is looked whether processes are ready; nothing: on this machine.
    std::optional<Health::Sources> health = {};
};

// The directories that systemd 252 loads units from, but for its own transient ones.
std::vector<std::filesystem::path> system_unit_directories();

// Reads /processes, /tombstones (replica) and /local/<node> (own state); writes /status/<node>/<id> (own
// state). Verbs never come here: they change what is wanted, and the change comes by the replica. One
// operation for each name at a time; different names go side by side.
class Reconciler {
  public:
    // All of them must outlive it.
    Reconciler(boost::asio::any_io_executor loop, Systemd& systemd, state::Replica& replica,
               state::OwnState& own, JournalTail& journal, ReconcilerOptions options);
    ~Reconciler();

    // Adopts what runs, then follows the changes until it is destroyed.
    boost::asio::awaitable<Result<void>> start();

    // What this node refuses of what is spun on it, before anything is asked of the registry: InvalidSpec for
    // a name for which a unit file exists, and for a command that cannot be put into a unit; NoSuitableNode
    // for a deployer that is not here, or lacks something.
    Result<void> check_spec(const ProcessSpec& spec) const;

    // Brings memory and processor time of what runs here up to date in the own state. Cheap: no bus, no
    // process.
    void measure();

    // Has the programs removed that kept processes to ports which no process here has any more. Looks into
    // one directory, and seldom has more to do.
    void tidy_ports();

    // Has what deployers left behind removed, once no process here needs it. Looks into one directory, and
    // seldom has more to do.
    void tidy_deployments();
    // Has all of that removed at once: of `name`, or, where it is empty, of all (process/deployment.h).
    boost::asio::awaitable<Result<Cleaned>> clean_deployments(std::string name);
    // Removes copies of data that were cut off, where no update needs them.
    void tidy_copies();
    // Forgets the stops of processes of which nothing is reported any more.
    void tidy_stops();

    // Another name of this node, from now on (it joined a fleet). Statuses of the old name are taken over.
    void set_node(std::string node);
    void set_remote_spin(RemoteSpin policy, std::vector<std::string> deployers = {});

    // Has systemd keep all that a node has spun here to what is noted for it (state/owner_limits.h).
    boost::asio::awaitable<Result<void>> apply_limits(std::string owner);

    // What fails without a network is tried again at once.
    void network_changed();

    // Why processes that start now are not kept to their ports; nothing: they are, or it is not known yet.
    const std::optional<Error>& unconfined() const;

    // The machine goes down: nothing is concluded from here on.
    void system_is_stopping();

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

} // namespace p2prc::process
