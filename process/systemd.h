// The interface to systemd: what the reconciler asks of the manager and what it is told, without D-Bus types.
#pragma once

#include "core/error.h"
#include "process/exit_reason.h"
#include "process/transient_unit.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::process {

// What is known of one unit, put together from what systemd reported so far.
struct UnitView {
    std::string unit;
    std::string active_state; // "active", "activating", "deactivating", "inactive", "failed", "reloading"
    std::string sub_state;    // "running", "auto-restart", "stop-sigterm", ...
    std::string invocation;   // 32 hexadecimal digits; empty: never started
    std::uint32_t main_pid = 0;
    std::uint32_t restarts = 0; // that systemd made by itself
    UnitResult result;
    std::uint64_t changed_at = 0; // microseconds since 1970; 0: not known
    std::uint32_t process = 0;    // FLEET_PROCESS; 0: not one of ours
    std::string digest;           // FLEET_DIGEST
    std::string bind_rule;        // whose programs it is started with (BPFProgram=); empty: without
    bool frozen = false;
    std::uint64_t watchdog_usec = 0; // it has to report within this time; 0: it has no watchdog
    friend bool operator==(const UnitView&, const UnitView&) = default;

    bool up() const { return active_state == "active" || active_state == "reloading"; }
    // Neither runs nor is on its way up or down. "auto-restart" is `activating`.
    bool dead() const { return active_state == "inactive" || active_state == "failed"; }
};

// All are called on the daemon's executor.
struct SystemdEvents {
    // Something about the unit changed. `failed` may be passing: systemd 252 shows it for an instant before
    // each automatic restart; ask system_state() and look again before anything is concluded.
    std::function<void(const UnitView&)> changed;
    // The unit is not loaded any more; what `changed` said last was its end.
    std::function<void(const std::string& unit)> gone;
    // Somebody else queued a job for the unit (or systemd did, for an automatic restart), or such a job is
    // over.
    std::function<void(const std::string& unit, bool queued)> outside_job;
    // The manager came back, or reloaded: these are all units there are, whatever was said before.
    std::function<void(const std::vector<UnitView>&)> resynced;
};

// Whose work a job is. Jobs of one kind never wait for those of another, and starts never for stops: a
// process that takes its time to end holds up nobody but those who wait for processes of the same maker.
struct JobShare {
    enum class Kind {
        Own,          // p2prcd's own short units, which starts of processes wait for
        Certificates, // p2prcd's own, which take minutes
        Probes,       // commands that ask whether a process is well
        RemoteProbes, // the same of processes of other nodes
        Deployments,  // of processes of any node: Deployments says whose turn it is
        Notices,      // programs that tell people what became of a process
        Local,        // processes that were spun on this node
        Remote,       // processes of other nodes
    };
    Kind kind = Kind::Own;
    // Of a remote process and its probes: the node that spun it; of another probe: its process.
    std::string maker = {};
    friend bool operator==(const JobShare&, const JobShare&) = default;
};

class Systemd {
  public:
    virtual ~Systemd() = default;

    virtual void on_events(SystemdEvents events) = 0;
    // The transient services of our slice, and of those below it, that carry FLEET_PROCESS, failed ones
    // included.
    virtual boost::asio::awaitable<Result<std::vector<UnitView>>> units() = 0;
    // Starts a transient unit and waits until its job is over: "done", "failed", "canceled", "timeout", ...
    // With a `run_limit` it waits for the end of the run: "done" only where that ended with 0; it is still
    // loaded then.
    // A unit of that name that failed or just ends makes way. Conflict: the name is in use otherwise; when by
    // a unit of ours, `changed` has told of that before.
    virtual boost::asio::awaitable<Result<std::string>>
    start_transient(std::string unit, TransientUnit content, JobShare share) = 0;
    // The same for a unit that needs no more than its properties.
    boost::asio::awaitable<Result<std::string>>
    start_transient(std::string unit, std::vector<UnitProperty> properties, JobShare share) {
        TransientUnit content{std::move(properties), {}};
        return start_transient(std::move(unit), std::move(content), std::move(share));
    }
    // Stops and waits until the job is over. A unit that is not loaded counts as "done". What has not ended
    // within `job_timeout`, which it cannot extend, gets SIGKILL.
    virtual boost::asio::awaitable<Result<std::string>> stop(std::string unit, JobShare share) = 0;
    // Changes properties of a unit that is loaded, until it is unloaded.
    virtual boost::asio::awaitable<Result<void>> set_properties(std::string unit,
                                                                std::vector<UnitProperty> properties) = 0;
    // Freezes all of a unit that is active, and returns when it is frozen; what is frozen already is no
    // error. systemd thaws it by itself before it stops it.
    virtual boost::asio::awaitable<Result<void>> freeze(std::string unit) = 0;
    virtual boost::asio::awaitable<Result<void>> thaw(std::string unit) = 0;
    // Lets systemd forget a failed unit. One that is not loaded is no error.
    virtual boost::asio::awaitable<Result<void>> reset_failed(std::string unit) = 0;
    // A unit as it is now, such as one that has failed and is still loaded. One that is not loaded is
    // inactive.
    virtual boost::asio::awaitable<Result<UnitView>> view_of(std::string unit) = 0;
    // "running", "degraded", "starting", "stopping", ... Everything that systemd did before it answered has
    // been told through the events when this returns.
    virtual boost::asio::awaitable<Result<std::string>> system_state() = 0;
    // What it was built with: "+PAM -BPF_FRAMEWORK ...".
    virtual boost::asio::awaitable<Result<std::string>> features() = 0;
};

} // namespace p2prc::process
