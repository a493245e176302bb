// Where nodes say whether visitors of the domains that they serve are served.
#pragma once

#include <string>
#include <string_view>

namespace p2prc::keys {

// /serving/<node>/<fqdn>, owned state: {"state": "ok", "failing" or "unknown", "reason", "at": RFC 3339,
// since when}. With an empty `fqdn` the prefix of all of a node's.
std::string serving(std::string_view node, std::string_view fqdn);

} // namespace p2prc::keys
