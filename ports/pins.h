// Loads the programs of a rule, leaves them in a BPF file system, where systemd takes them from, and
// removes them.
#pragma once

#include "core/bind_rule.h"

#include <filesystem>

namespace p2prc::ports {

// The programs of `rule` are pinned in `directory` when this succeeds. What is pinned and right stays as it
// is; what an earlier version has pinned is replaced.
Result<void> pin(const BindRule& rule, const std::filesystem::path& directory);

// The programs of `rule` are not pinned in `directory` any more; where they are attached they stay.
Result<void> unpin(const BindRule& rule, const std::filesystem::path& directory);

// Why systemd on this machine could not attach what is pinned; empty: it can.
Result<void> check_machine(const std::filesystem::path& bpf_root, const std::filesystem::path& cgroup_root);

} // namespace p2prc::ports
