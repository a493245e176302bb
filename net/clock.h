// Clocks: wall time for people, boot time for leases, and the id of this boot.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace p2prc::net {

// Now in UTC as RFC 3339 with seconds: "2026-01-02T03:04:05Z".
std::string now_rfc3339();
std::string to_rfc3339(std::chrono::system_clock::time_point time);
// The time of a text of that form; nothing for another one.
std::optional<std::chrono::system_clock::time_point> from_rfc3339(const std::string& text);

// CLOCK_BOOTTIME: includes the time that the machine is suspended, and is never set.
std::chrono::nanoseconds boottime() noexcept;

// The kernel's random id of this boot, 32 hexadecimal digits; empty without /proc.
std::string boot_id();

} // namespace p2prc::net
