// The BPF program that decides what a process may bind: a function from a rule to instructions.
#pragma once

#include "core/bind_rule.h"

#include <linux/bpf.h>

#include <vector>

namespace p2prc::ports {

// For the attach types BPF_CGROUP_INET4_BIND and BPF_CGROUP_INET6_BIND alike: the port is at the same place.
// The kernel asks for bind(2) of TCP and UDP, and refuses with EPERM what gets a 0. Port 0, for which the
// kernel chooses one, is always allowed: clients of UDP bind it.
std::vector<bpf_insn> bind_program(const BindRule& rule);

} // namespace p2prc::ports
