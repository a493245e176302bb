// Which limits this machine's control groups can enforce: systemd silently accepts settings that have no
// effect.
#pragma once

#include <filesystem>
#include <string_view>

namespace p2prc::net {

// Whether memory is limited at all: some boards are booted with cgroup_disable=memory, and some containers
// are given no controller.
bool limits_memory(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");
// The same of processor time, and of the number of tasks.
bool limits_cpu(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");
bool limits_tasks(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

// Whether systemd can keep a process to the ports that it may bind (SocketBindAllow=), by the Features that
// its manager names. Debian 12 builds it without the BPF framework that this takes;
// process/bind_programs.h is for that. A container may be denied BPF even so.
bool confines_ports(std::string_view systemd_features) noexcept;

} // namespace p2prc::net
