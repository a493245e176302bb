// Data that was copied by hand belongs to whoever copied it: its process gets it back before it starts.
#pragma once

#include "core/error.h"
#include "process/systemd.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>

namespace p2prc::process {

std::string ownership_unit_name(std::string_view process_name);
// `directory`: the data's, no link to it.
std::vector<UnitProperty> ownership_unit(std::string_view process_name, std::string_view directory);

// Gives the directory itself to the superuser. At the start systemd then gives it and all that is in it to
// the process's user; it looks at nothing within a directory that has the right owner (path_chown_recursive).
// p2prcd lacks the capability, so a unit of its own does it.
boost::asio::awaitable<Result<void>> disown_data(Systemd& systemd, std::string process_name,
                                                 std::string directory);

} // namespace p2prc::process
