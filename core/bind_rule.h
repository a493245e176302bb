// The rule for which ports a process may bind, as a value. It names the BPF programs that enforce it.
#pragma once

#include "core/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// The ports below need a capability (ip_unprivileged_port_start).
inline constexpr std::uint16_t first_free_port = 1024;

struct BindRule {
    std::vector<std::uint16_t> ports; // its own, ascending
    bool free_ports = false;          // it may also bind every port from first_free_port on
    friend bool operator==(const BindRule&, const BindRule&) = default;
};

// "none", "8120", "8384+22000"; "low-443" with `free_ports`. One name for each rule.
std::string bind_rule_name(const BindRule& rule);
Result<BindRule> bind_rule_from_name(std::string_view name);

// Where p2prcd-ports pins programs, and systemd finds them (BPFProgram=). Only root gets into a BPF file
// system that systemd has mounted.
inline constexpr std::string_view bind_programs_directory = "/sys/fs/bpf/p2prc";

// Of p2prcd-ports: remove the programs of the rules that follow, instead of pinning them.
inline constexpr std::string_view bind_unpin_option = "--unpin";
// Of p2prcd-ports: attach the programs of the rule that follows to the control group that it runs in.
inline constexpr std::string_view bind_attach_option = "--attach";

enum class BindFamily { Inet4, Inet6 };

// "bind4", "bind6": systemd.resource-control(5), BPFProgram=.
std::string_view bind_attach_name(BindFamily family) noexcept;
// "bind4-8120": the pinned program's file.
std::string bind_program_name(BindFamily family, const BindRule& rule);
// "8120" of "bind4-8120" or "bind6-8120", wherever the file is; empty for what is named otherwise.
std::string_view rule_of_bind_program(std::string_view path) noexcept;

} // namespace p2prc
