#include "net/cgroups.h"

#include "net/file.h"

#include <string>

namespace p2prc::net {
namespace {

// Whether `word` is one of `list`, which has single spaces or newlines between its words.
bool has_word(std::string_view list, std::string_view word) {
    for (std::size_t at = list.find(word); at != std::string_view::npos; at = list.find(word, at + 1)) {
        const auto end = at + word.size();
        const auto is_space = [](char c) { return c == ' ' || c == '\n'; };
        if ((at == 0 || is_space(list[at - 1])) && (end == list.size() || is_space(list[end]))) return true;
    }
    return false;
}

// `v1_file`: of the controller's own hierarchy, which it has with cgroup v1.
bool has_controller(const std::filesystem::path& cgroup_root, std::string_view name,
                    std::string_view v1_file) {
    std::error_code ignored;
    if (std::filesystem::exists(cgroup_root / name / v1_file, ignored)) return true;
    const auto controllers = read_file(cgroup_root / "cgroup.controllers", 4096);
    return controllers && has_word(*controllers, name);
}

} // namespace

bool limits_memory(const std::filesystem::path& cgroup_root) {
    return has_controller(cgroup_root, "memory", "memory.limit_in_bytes");
}

// A kernel without CONFIG_CFS_BANDWIDTH has the controller and not this limit; no group above those of
// processes tells the two apart.
bool limits_cpu(const std::filesystem::path& cgroup_root) {
    return has_controller(cgroup_root, "cpu", "cpu.cfs_quota_us");
}

// The root of that hierarchy has no pids.max.
bool limits_tasks(const std::filesystem::path& cgroup_root) {
    return has_controller(cgroup_root, "pids", "cgroup.procs");
}

bool confines_ports(std::string_view systemd_features) noexcept {
    return has_word(systemd_features, "+BPF_FRAMEWORK");
}

} // namespace p2prc::net
