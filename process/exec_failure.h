// Explains to people why a command could not be executed: one exit status covers all the causes.
#pragma once

#include "core/process_spec.h"
#include "process/transient_unit.h"

#include <span>
#include <string>

namespace p2prc::process {

// `log`: what systemd said between fork and exec, which names the error; it says nothing about a process of
// another node. Looks at the files that p2prcd can see, which those in home directories are not. Empty when
// nothing more is known than that it failed.
std::string exec_failure(const ProcessSpec& spec, Origin origin, std::span<const std::string> log);

// The step of systemd.exec(5), such as "USER", at which PID 1's child failed, as it says in `log`; empty when
// it says nothing.
std::string failed_step(std::span<const std::string> log);

// Which file of run.credentials systemd could not read. Of files that p2prcd does not see, all are named.
std::string credentials_failure(const ProcessSpec& spec);
// That there is no user of this name, and the nearest in `users`, a file such as passwd(5). Empty for a
// process with a user of its own.
std::string user_failure(const ProcessSpec& spec, const std::string& users = "/etc/passwd");

} // namespace p2prc::process
