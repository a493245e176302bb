// The sandbox of units that do something with files for p2prcd, which may not do that itself.
#pragma once

#include "process/systemd.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace p2prc::process {

// Properties of a transient unit (systemd.exec(5)). `writable`: an array of paths, as of ReadWritePaths=.
// What runs in it, by which user and with which capabilities, is for the caller to add.
std::vector<UnitProperty> helper_sandbox(std::string description, nlohmann::json writable);

} // namespace p2prc::process
