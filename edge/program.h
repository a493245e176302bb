// Runs the edge: configuration, routes, listening, ready; then handles signals until it is told to stop.
#pragma once

#include "core/error.h"
#include "edge/command_line.h"

namespace p2prc::edge {

// Returns after SIGTERM or SIGINT and the drain, or with the error that kept it from starting.
Result<void> run_program(const CommandLine& line);

} // namespace p2prc::edge
