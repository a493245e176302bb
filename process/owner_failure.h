// Whether a process may have ended because all that its owner runs on this machine is limited.
#pragma once

#include "core/process_spec.h"
#include "core/stop_reason.h"

#include <string>
#include <string_view>

namespace p2prc::process {

// What `limits` of all processes of `owner` together have to do with this end; empty: nothing that is known.
// systemd does not say whose limit was reached, and a refused fork(2) only the program itself, in its log.
std::string owner_failure(const StopReason& reason, const LimitsSpec& limits, std::string_view owner);

} // namespace p2prc::process
