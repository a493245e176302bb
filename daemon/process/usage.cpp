#include "daemon/process/usage.h"

#include "daemon/process/unit_names.h"

#include <unistd.h>

#include <fstream>
#include <string>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

std::optional<double> cpu_seconds(const fs::path& group) {
    std::ifstream file(group / "cpu.stat");
    std::string key;
    std::uint64_t value = 0;
    while (file >> key >> value)
        if (key == "usage_usec") return static_cast<double>(value) / 1e6;
    return {};
}

std::optional<std::uint64_t> resident_bytes(const fs::path& group, const fs::path& proc) {
    std::ifstream processes(group / "cgroup.procs");
    if (!processes) return {};
    static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    std::uint64_t total = 0;
    for (std::string pid; processes >> pid;) {
        // proc(5): size, resident, ... in pages. A process may be gone by now.
        std::ifstream statm(proc / pid / "statm");
        std::uint64_t size = 0, resident = 0;
        if (statm >> size >> resident) total += resident * page;
    }
    return total;
}

} // namespace

Usage read_usage(std::string_view unit, const fs::path& cgroup_root, const fs::path& proc_root) {
    // With cgroup v1 beside it, systemd mounts the unified hierarchy one level down.
    for (const auto& base : {cgroup_root, cgroup_root / "unified"}) {
        const auto group = base / process_slice / unit;
        std::error_code ignored;
        if (!fs::exists(group / "cgroup.procs", ignored)) continue;
        Usage usage;
        usage.cpu_seconds = cpu_seconds(group);
        std::ifstream memory(group / "memory.current");
        std::uint64_t bytes = 0;
        if (memory >> bytes)
            usage.memory_bytes = bytes;
        else
            usage.memory_bytes = resident_bytes(group, proc_root);
        return usage;
    }
    return {};
}

} // namespace p2prc::daemon
