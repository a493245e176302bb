// What the supervisors of a node's processes have in common: systemd, the journal, the state that they read
// and write, and what is allowed here.
#pragma once

#include "process/deployment.h"
#include "process/health.h"
#include "process/node_records.h"
#include "process/owner_slices.h"
#include "process/port_confinement.h"
#include "process/reconciler.h"
#include "process/run_end.h"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::process {

// The step at which a start fails that this node does not allow.
inline constexpr const char* refused_step = "policy";

struct Supervision {
    // All of them must outlive it.
    Supervision(boost::asio::any_io_executor executor, Systemd& manager, state::Replica& agreed,
                state::OwnState& owned, JournalTail& tail, ReconcilerOptions given,
                NodeRecords::UnitOf unit_of);

    boost::asio::any_io_executor loop;
    Systemd& systemd;
    state::Replica& replica;
    state::OwnState& own;
    JournalTail& journal;
    ReconcilerOptions options;
    NodeRecords records;
    PortConfinement ports;
    Health health;
    RunEnd run_end;
    Deployments deployments;
    Notifiers notifiers;
    OwnerSlices owner_slices;
    std::optional<BootGap> boot_gap; // before this boot
    bool stopping = false;           // nothing is concluded or begun any more

    // Has the supervisor of a name evaluate, if there is one, and forgets what is over.
    std::function<void(const std::string& name)> look_again;

    // Nothing is concluded or begun from here on.
    void stop();

    void warn(std::string_view message, std::string_view process) const;
    // No unit file of an administrator or a package has the name.
    Result<void> check_name(std::string_view name) const;
    void write(const ProcessStatus& status);
    // The same, with the state and what follows from it.
    void write_state(ProcessStatus status, ProcessState state);
    // With the place and the time of now.
    StopReason stamped(StopReason reason, std::uint64_t epoch) const;
    // The end of a run that its machine did not survive.
    StopReason lost_with_boot(const ProcessStatus& before, std::uint64_t epoch) const;
};

// Now, for a time that is not known.
std::string rfc3339_of(std::uint64_t microseconds);

} // namespace p2prc::process
