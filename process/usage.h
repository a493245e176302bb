// What a unit uses, from its control group.
#pragma once

#include "net/fd.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
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

// Memory and processor time alone, of one unit after the other: what lists of processes show. Of hundreds of
// units the other files take as long again, and the kernel adds up each io.stat when it is read. What all
// units have in common is looked up once, so it is made for one list and not kept.
class BriefUsages {
  public:
    enum class Wanted { Both, Memory };

    explicit BriefUsages(Wanted wanted = Wanted::Both, std::filesystem::path cgroup_root = "/sys/fs/cgroup",
                         std::filesystem::path proc_root = "/proc");

    Usage of(std::string_view unit);

  private:
    // Of memory. A group's cgroup.subtree_control is for all groups just below it (cgroup-v2.rst, "Enabling
    // and Disabling").
    enum class Controller { Unknown, Present, Absent };

    void open();
    // By the files `prefix`... of the directory.
    Usage read(int directory, const std::string& prefix, Controller& memory);

    Wanted wanted_;
    std::filesystem::path cgroup_root_;
    std::filesystem::path proc_root_;
    bool opened_ = false; // the following: of a list in which nothing runs here, nothing is opened
    net::UniqueFd slice_; // of this node's own processes
    net::UniqueFd proc_;
    Controller in_slice_ = Controller::Unknown;
};

// As read_usage(), of all units in a slice.
Usage read_slice_usage(std::string_view slice, const std::filesystem::path& cgroup_root = "/sys/fs/cgroup",
                       const std::filesystem::path& proc_root = "/proc");

} // namespace p2prc::process
