// A text as the standard input of a unit: it is on no disk, and nobody can change it.
#pragma once

#include "core/error.h"
#include "net/fd.h"

#include <memory>
#include <string_view>

namespace p2prc::process {

// `name` is for people who look at open files; the position is at the beginning. A property of the unit
// (StandardInputData=) could be read on the bus by everybody.
Result<std::shared_ptr<const net::UniqueFd>> sealed_input(const char* name, std::string_view text);

} // namespace p2prc::process
