#include "process/availability.h"

#include "core/gate.h"
#include "process/plan.h"

namespace p2prc::process {

Availability availability(const ProcessRecord& record, const LocalAction* local, const ProcessStatus* status,
                          std::string_view boot_id) {
    const auto want = wanted(record, local);
    // The record of a registry that was restored from an older copy: what was done here since then counts.
    const bool older_copy =
        status && status->applied > want.change && status->applied - want.change <= most_changes_ahead;
    if (want.desired == Desired::Stopped && !older_copy) return Availability::Stopped;
    if (!status) return Availability::Coming;
    if (status->state == ProcessState::Paused) return Availability::Stopped;
    // A start or restart that this node has not acted upon yet.
    if (status->applied != want.change && !older_copy) return Availability::Coming;
    if (lost_with_its_boot(*status, boot_id)) return Availability::Coming;
    switch (status->state) {
    case ProcessState::Running:
        return is_ready(*status) ? Availability::Running : Availability::Coming;
    case ProcessState::Starting:
    case ProcessState::Stopping: // nobody asked it to stop for good
    case ProcessState::Deploying:
    case ProcessState::Updating:
        return Availability::Coming;
    case ProcessState::Stopped:
    case ProcessState::Paused:
        return Availability::Stopped;
    case ProcessState::Failed:
    case ProcessState::Lost:
        break;
    }
    // A boot begins anew with what had failed before.
    return status->boot_id == boot_id || deployment_failed(*status) ? Availability::Failed
                                                                    : Availability::Coming;
}

} // namespace p2prc::process
