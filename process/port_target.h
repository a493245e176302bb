// Where clients of a mapping are to go: to the listener of the mapping's own process, or nowhere, and why. A
// port's number alone says nothing: whoever binds it first has it.
#pragma once

#include "core/error.h"
#include "net/listeners.h"
#include "process/unit_names.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace p2prc::process {

// How the sockets of a unit's processes are recognised.
struct UnitSockets {
    std::set<std::uint64_t> groups; // its control group and those below, by the kernel's ids
    // The user of its processes, for kernels that do not tell a socket's group; nothing: not known.
    std::optional<std::uint32_t> uid;
};

// Of the units of the process `name` as they run now: of both, while an update runs one beside the other,
// which have ports of their own. Empty when it does not run.
UnitSockets unit_sockets(std::string_view name, const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                         const std::filesystem::path& proc_root = "/proc");
// Of one of the two.
UnitSockets unit_sockets(std::string_view name, Turn turn,
                         const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                         const std::filesystem::path& proc_root = "/proc");

struct PortTarget {
    std::string address = {};            // "127.0.0.1" or "::1"; empty: nowhere
    std::set<std::uint64_t> groups = {}; // whose sockets may answer there; empty: the kernel does not say
    std::string reason = {};             // why nowhere
    bool held = false;                   // because another program has the port
    friend bool operator==(const PortTarget&, const PortTarget&) = default;
};

// Says who made a listening socket, for messages.
using Holder = std::function<std::string(const net::Listener&)>;

// Where the process `name` with `unit` listens at `port`. Loopback of IPv4 is taken before that of IPv6.
PortTarget port_target(std::span<const net::Listener> listeners, std::uint16_t port, const UnitSockets& unit,
                       const std::string& name, const Holder& holder);

// PortTaken with the name of who holds the port, where the process would listen, before it is started. A
// listener whose group the kernel does not tell is ignored: it must not keep a process from starting. No port
// (0) is free.
Result<void> check_port_is_free(std::span<const net::Listener> listeners, std::uint16_t port,
                                const UnitSockets& unit, const Holder& holder);
// The same of this machine as it is now.
Result<void> check_port_is_free(std::uint16_t port, std::string_view process);

// "python3 (uid 0, admin.service)"; a program's name only where its control group has no other.
std::string holder_text(const net::Listener& listener,
                        const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                        const std::filesystem::path& proc_root = "/proc");

} // namespace p2prc::process
