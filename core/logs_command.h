// The command that shows what was written before a process stopped: a deployer has a log of its own.
#pragma once

#include "core/stop_reason.h"

#include <string>
#include <string_view>

namespace p2prc {

std::string logs_command(std::string_view process, StopKind kind); // "p2prc logs wiki --deploy"

} // namespace p2prc
