// Who uses the port of a process on this machine: the process itself, nobody, or another program.
#pragma once

#include "net/listeners.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace p2prc::daemon {

// The ids of a process's control group and of those that it made below; empty: it does not run. `root`: the
// unified hierarchy, or what it is mounted in.
std::set<std::uint64_t> control_groups(std::string_view process,
                                       const std::filesystem::path& root = "/sys/fs/cgroup");

// Why nobody reaches the process at its port yet; nothing: it listens there, at 127.0.0.1 or ::1.
std::optional<std::string> lacks_at_port(std::span<const net::Listener> listeners, std::uint16_t port,
                                         const std::set<std::uint64_t>& own, std::string_view process);

// Somebody else who listens where the process would, before it is started; nothing: the port is free, or its
// own. Where the kernel does not tell control groups nobody is suspected.
const net::Listener* other_at_port(std::span<const net::Listener> listeners, std::uint16_t port,
                                   const std::set<std::uint64_t>& own);

// PortTaken with the name of who holds the port of this process on this machine, before it is started.
Result<void> check_port_is_free(std::uint16_t port, std::string_view process);

// "python3 (admin.service)", as far as it can be known; else "another program (uid 1000)".
std::string holder_name(const net::Listener& listener);

} // namespace p2prc::daemon
