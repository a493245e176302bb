// A file of routes, read from disk.
#pragma once

#include "core/route_table.h"

#include <string>

namespace p2prc::edge {

// The whole file with the zone files it names, or an error with file, line and key.
Result<RouteTable> load_routes_file(const std::string& path);

} // namespace p2prc::edge
