// Shows a process, whole or in a line that says how it is.
#pragma once

#include "cli/daemon.h"
#include "cli/process_words.h"
#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::cli {

// With all that is known of it, or as JSON. Returns the exit status.
Result<int> show_process(Daemon& daemon, const std::string& name, bool json);

// Says how a process is doing after p2prcd has done what was asked. Returns the exit status.
int tell_how_it_is(const Json& process, Asked asked, std::string_view verb, bool no_wait,
                   const Revised& revision = {}, const std::string& domain = {});
// What has come of a revision that was asked for.
Revised revision_of(Daemon& daemon, const Json& process, std::uint32_t number);

} // namespace p2prc::cli
