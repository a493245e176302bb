// Explains to people that a command may not bind a port that is not its own: programs say only that it is not
// permitted.
#pragma once

#include "core/bind_rule.h"
#include "core/process_spec.h"

#include <span>
#include <string>

namespace p2prc::process {

// For a process that is kept to `rule` and has ended; `log`: its last lines, which name the error. Empty
// where they do not speak of a bind that was refused.
std::string bind_failure(const ProcessSpec& spec, const BindRule& rule, std::span<const std::string> log);

} // namespace p2prc::process
