// Whether a text is an IP address. What computes with addresses, or opens sockets, uses net/address.h.
#pragma once

#include <optional>
#include <string>

namespace p2prc {

enum class IpFamily { V4, V6 };

// Of "203.0.113.1" or "2001:db8::1"; nothing: it is no address. Without brackets, port or zone ("%eth0").
std::optional<IpFamily> ip_family(const std::string& text) noexcept;

} // namespace p2prc
