// Finds out which program holds the ports that the edge needs, before the edge is enabled.
#pragma once

#include "core/error.h"
#include "net/listeners.h"

#include <functional>
#include <span>
#include <string>

namespace p2prc::daemon {

// Conflict names the program that listens at 443 or 80, or at 53 on an address that others reach, and says
// what to do. `name_of` says who a listener is: "nginx (pid 812, nginx.service)", or nothing.
Result<void> check_edge_ports(std::span<const net::Listener> listeners,
                              const std::function<std::string(const net::Listener&)>& name_of);

// Its unit and processes, by its control group.
std::string listener_name(const net::Listener& listener);

} // namespace p2prc::daemon
