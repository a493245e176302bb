// p2prc-connector as a program: its loop, its signals.
#pragma once

#include "connector/command_line.h"
#include "core/error.h"

namespace p2prc::connector {

// Returns after SIGTERM or SIGINT, or with the error that kept it from starting.
Result<void> run_program(const CommandLine& line);

} // namespace p2prc::connector
