// Loads the programs of a rule, leaves them in a BPF file system, where systemd takes them from, removes
// them, and attaches them to a control group.
#pragma once

#include "core/bind_rule.h"

#include <filesystem>

namespace p2prc::ports {

// The programs of `rule` are pinned in `directory` when this succeeds. What is pinned and right stays as it
// is; what an earlier version has pinned is replaced.
Result<void> pin(const BindRule& rule, const std::filesystem::path& directory);

// The programs of `rule` are not pinned in `directory` any more; where they are attached they stay.
Result<void> unpin(const BindRule& rule, const std::filesystem::path& directory);

// The programs of `rule` are attached to the control group at `cgroup`, beside others that may be there.
Result<void> attach(const BindRule& rule, const std::filesystem::path& cgroup);

// The control group of this process, below `root`, of a machine with the unified hierarchy alone.
Result<std::filesystem::path> own_cgroup(const std::filesystem::path& root);

// Why systemd on this machine could not attach what is pinned; empty: it can.
Result<void> check_machine(const std::filesystem::path& bpf_root, const std::filesystem::path& cgroup_root);

} // namespace p2prc::ports
