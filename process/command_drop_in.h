// The command of a process in the syntax of unit files, in which it outlives a reload of systemd.
//
// systemd 252 keeps a transient unit in a file of its own, and reads that again at each daemon-reload (every
// installation of a package does one). Commands do not survive it: `ExecStartEx` is written under a key that
// the reader does not know, and `ExecStart` escapes `$` and `;` so that they are read as something else. The
// next automatic restart would run the wrong command, or none. A drop-in written here is read the same way
// both times.
#pragma once

#include "core/error.h"
#include "core/process_spec.h"

#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// "[Service]\nExecStart=:..." with every argument exactly as it is in `run`: nothing in it is expanded.
// InvalidSpec for a program whose name systemd would read as a prefix: `+/bin/sh` is /bin/sh as root, outside
// of any sandbox.
Result<std::string> command_drop_in(const RunSpec& run);

enum class As { Unit, Root };

// "[Service]\nKEY=:..." for one command, in the same way. As root: outside of the unit's sandbox.
Result<std::string> command_line_drop_in(std::string_view key, const std::vector<std::string>& command,
                                         As as = As::Unit);

} // namespace p2prc::process
