// What several nodes say that their processes use, as one answer of bounded size.
#pragma once

#include "core/json.h"
#include "core/process_usage.h"

#include <cstddef>
#include <map>
#include <string>

namespace p2prc::daemon {

using UsageByNode = std::map<std::string, NodeUsage, std::less<>>;

// {node: NodeUsage}, as JSON in at most `room` bytes or little more than the names of the nodes. If not all
// processes fit, nodes with few are whole, and the others share alike what those leave.
Json share_usage(const UsageByNode& nodes, std::size_t room);

} // namespace p2prc::daemon
