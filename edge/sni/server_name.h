// Checks the host name that a client sent and normalises it to the form in which routes are stored.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace p2prc::edge {

// Lower case, without one trailing dot. Nothing when it holds anything but letters, digits, hyphens,
// underscores and dots, has an empty label or one above 63 octets, is above 253 octets, or reads as an IPv4
// address (its last label is a number; RFC 6066 section 3 forbids literals). A name of one label is accepted;
// it simply has no route.
std::optional<std::string> normalize_server_name(std::string_view name);

} // namespace p2prc::edge
