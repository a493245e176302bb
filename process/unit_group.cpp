#include "process/unit_group.h"

#include "process/unit_names.h"

#include <unistd.h>

#include <string>
#include <system_error>

namespace p2prc::process {

namespace fs = std::filesystem;

namespace {

bool is_there(const fs::path& group) {
    return access(group.c_str(), F_OK) == 0;
}

// Of the slice of all processes. With cgroup v1 beside it, systemd mounts the unified hierarchy one level
// down.
fs::path top_group(const fs::path& cgroup_root) {
    for (const auto& base : {cgroup_root, cgroup_root / "unified"})
        if (auto top = base / process_slice; is_there(top)) return top;
    return {};
}

} // namespace

fs::path unit_group(std::string_view unit, const fs::path& cgroup_root) {
    const auto top = top_group(cgroup_root);
    if (top.empty()) return {};
    if (auto group = top / unit; is_there(group)) return group;
    std::error_code error;
    for (fs::directory_iterator entry(top, error), end; !error && entry != end; entry.increment(error)) {
        if (!is_process_slice(entry->path().filename().native())) continue;
        if (auto group = entry->path() / unit; is_there(group)) return group;
    }
    return {};
}

fs::path slice_group(std::string_view slice, const fs::path& cgroup_root) {
    auto top = top_group(cgroup_root);
    if (top.empty() || slice == process_slice) return top;
    auto group = top / slice;
    return is_there(group) ? group : fs::path();
}

} // namespace p2prc::process
