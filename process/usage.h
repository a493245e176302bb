// What a unit uses, from its control group.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace p2prc::process {

struct Usage {
    std::optional<std::uint64_t> memory_bytes;
    std::optional<double> cpu_seconds;
    std::optional<std::uint64_t> cpu_usec;
    std::optional<std::uint64_t> io_read_bytes; // of disks, all together
    std::optional<std::uint64_t> io_written_bytes;
    std::optional<std::uint64_t> tasks; // threads
};

// Reads the unified hierarchy under `cgroup_root` ("/sys/fs/cgroup") without troubling PID 1. Where there is
// no memory controller, as in many containers, memory is the resident size of the unit's processes by
// `proc_root`.
Usage read_usage(std::string_view unit, const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                 const std::filesystem::path& proc_root = "/proc");

// Its memory and processor time alone: what lists of processes show. Of hundreds of units the other files
// take as long again, and the kernel adds up each io.stat when it is read.
Usage read_brief_usage(std::string_view unit, const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                       const std::filesystem::path& proc_root = "/proc");

// As read_usage(), of all units in a slice.
Usage read_slice_usage(std::string_view slice, const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                       const std::filesystem::path& proc_root = "/proc");

} // namespace p2prc::process
