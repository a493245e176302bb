// Why a command could not be executed, in a person's words: one exit status stands for all of the causes.
#pragma once

#include "core/process_spec.h"
#include "daemon/process/transient_unit.h"

#include <span>
#include <string>

namespace p2prc::daemon {

// `log`: what systemd said between fork and exec, which names the error. Looks at files as far as p2prcd sees
// them; home directories it does not. Empty when nothing more is known than that it failed.
std::string exec_failure(const ProcessSpec& spec, Origin origin, std::span<const std::string> log);

} // namespace p2prc::daemon
