// Finds the listening TCP sockets of this machine and the control group that each belongs to.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace p2prc::net {

// A listening TCP socket. `cgroup` is the control group of the process that made it, also after that one has
// handed it on or ended; 0 where the kernel does not say (before Linux 5.8).
struct Listener {
    Address address; // 0.0.0.0 or :: if it listens at all addresses
    std::uint16_t port = 0;
    std::uint32_t uid = 0;
    std::uint64_t cgroup = 0;
    bool v6_only = false;    // an IPv6 socket that takes no IPv4 connections (IPV6_V6ONLY)
    std::uint32_t inode = 0; // of the socket: /proc/PID/fd/N is "socket:[INODE]"

    // Whether a connection to `target` and `port` reaches it. Addresses that are bound to one interface are
    // taken for the same as others.
    bool accepts(const Address& target, std::uint16_t target_port) const noexcept;

    friend bool operator==(const Listener&, const Listener&) = default;
};

// All that listen in this program's network namespace, by NETLINK_SOCK_DIAG (sock_diag(7)): it needs
// AF_NETLINK among the allowed address families, and no capability. Does not wait: the kernel answers a dump
// while it is asked for.
Result<std::vector<Listener>> tcp_listeners();

// Whether a TCP socket of this network namespace that is bound to `port` has a connection, or one that its
// peer alone has ended.
Result<bool> has_connections(std::uint16_t port);

// The socket at the other end of `socket`, a TCP connection within this machine: of its listener's group,
// also before it is accepted (cgroup_sk_clone() in the kernel). While the handshake is under way it is the
// listener that is told of. NotFound when there is none.
Result<Listener> peer_socket(int socket);

// The id by which the kernel names the control group at `path` (below /sys/fs/cgroup): the inode of its
// directory. NotFound when there is none.
Result<std::uint64_t> cgroup_id(const std::filesystem::path& path);

// The control group `id` somewhere below `root`, as a path; empty when there is none. Reads directories, so
// it is for messages, not for each tick.
std::filesystem::path cgroup_path(std::uint64_t id, const std::filesystem::path& root = "/sys/fs/cgroup");

// Appends what one datagram of an answer to a dump tells of sockets in one of `states` (a mask, as in
// inet_diag_req_v2), and returns whether the dump is complete.
inline constexpr std::uint32_t listening_states = 1U << 10U; // TCP_LISTEN
Result<bool> read_listeners(std::span<const std::byte> datagram, std::vector<Listener>& out,
                            std::uint32_t states = listening_states);

} // namespace p2prc::net
