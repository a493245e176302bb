// Limits the jobs that are queued with systemd at the same time, and decides who waits for whom.
#pragma once

#include "net/fair_slots.h"
#include "process/systemd.h"

namespace p2prc::process {

// PID 1 adds a match rule for each outstanding job that was asked for over the bus; past 512 dbus-daemon
// refuses and sd-bus closes PID 1's own connection (systemd 252). All queues together are kept below half of
// that. A stop takes as long as the process takes to end; a start is over when its command is executed.
class JobQueues {
  public:
    // The key is the maker of the job.
    net::FairSlots& starts(JobShare::Kind kind);
    net::FairSlots& stops(JobShare::Kind kind);

  private:
    net::FairSlots own_{16, 16}, certificates_{16, 16}, probes_{8, 2}, remote_probes_{8, 2};
    net::FairSlots deployments_{8, 8}, notices_{8, 8};
    net::FairSlots local_starts_{16, 16}, local_stops_{64, 64};
    net::FairSlots remote_starts_{16, 8}, remote_stops_{64, 16};
};

} // namespace p2prc::process
