#include "process/job_queues.h"

namespace p2prc::process {

net::FairSlots& JobQueues::starts(JobShare::Kind kind) {
    switch (kind) {
    case JobShare::Kind::Own:
        break;
    case JobShare::Kind::Certificates:
        return certificates_;
    case JobShare::Kind::Probes:
        return probes_;
    case JobShare::Kind::RemoteProbes:
        return remote_probes_;
    case JobShare::Kind::Deployments:
        return deployments_;
    case JobShare::Kind::Notices:
        return notices_;
    case JobShare::Kind::Local:
        return local_starts_;
    case JobShare::Kind::Remote:
        return remote_starts_;
    }
    return own_;
}

net::FairSlots& JobQueues::stops(JobShare::Kind kind) {
    if (kind == JobShare::Kind::Local) return local_stops_;
    if (kind == JobShare::Kind::Remote) return remote_stops_;
    return starts(kind); // short or seldom
}

} // namespace p2prc::process
