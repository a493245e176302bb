#include "process/usage.h"

#include "net/fd.h"
#include "process/unit_group.h"
#include "process/unit_names.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <utility>

// A list of processes reads all of these files at once. Most of what that costs is the kernel's, and by the
// call: so each file is one open, one read and one close, by a descriptor from which its path is short.
namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

using Buffer = std::array<char, 4096>;

// The beginning of a file; empty when it cannot be read.
std::string_view read_start(int directory, const char* name, Buffer& buffer) {
    const net::UniqueFd file(openat(directory, name, O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    const ssize_t size = read(file.get(), buffer.data(), buffer.size());
    return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return {};
    return value;
}

std::optional<std::uint64_t> cpu_usec(int directory, const char* file) {
    Buffer buffer;
    const auto text = read_start(directory, file, buffer);
    constexpr std::string_view key = "usage_usec ";
    const auto at = text.find(key);
    if (at == std::string_view::npos) return {};
    return number(text.substr(at + key.size()));
}

// A line a device, "8:0 rbytes=1 wbytes=2 ..." (cgroup-v2.rst): what one has not been asked for is 0. Many
// disks may take more than one read.
void add_io(int group, Usage& usage) {
    const net::UniqueFd file(openat(group, "io.stat", O_RDONLY | O_CLOEXEC));
    if (!file) return;
    std::string text;
    Buffer buffer;
    for (ssize_t size; (size = read(file.get(), buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(size));
    const auto sum = [&text](std::string_view key) {
        std::uint64_t bytes = 0;
        for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at + 1))
            bytes += number(std::string_view(text).substr(at + key.size())).value_or(0);
        return bytes;
    };
    usage.io_read_bytes = sum(" rbytes=");
    usage.io_written_bytes = sum(" wbytes=");
}

// proc(5): size, resident, ... in pages. A process may be gone by now.
std::uint64_t resident_pages(int proc, std::string_view pid) {
    Buffer buffer;
    std::string path(pid); // short enough to need no memory of its own
    path += "/statm";
    const auto text = read_start(proc, path.c_str(), buffer);
    const auto space = text.find(' ');
    return space == std::string_view::npos ? 0 : number(text.substr(space + 1)).value_or(0);
}

std::optional<std::uint64_t> resident_bytes(int directory, const char* list, int proc) {
    const net::UniqueFd file(openat(directory, list, O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    // A read ends before a line only where there is no room for that line (fs/seq_file.c): after one that
    // ends earlier nothing follows.
    constexpr std::size_t longest_line = 16;
    std::string pids;
    Buffer buffer;
    for (ssize_t size; (size = read(file.get(), buffer.data(), buffer.size())) > 0;) {
        pids.append(buffer.data(), static_cast<std::size_t>(size));
        if (static_cast<std::size_t>(size) + longest_line < buffer.size()) break;
    }
    std::uint64_t pages = 0;
    for (std::string_view rest = pids; !rest.empty();) {
        const auto end = rest.find('\n');
        pages += resident_pages(proc, rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return pages * page;
}

// Of no directory: nothing.
net::UniqueFd open_directory(const fs::path& path) {
    return net::UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

void set_cpu(Usage& usage, std::optional<std::uint64_t> cpu) {
    usage.cpu_usec = cpu;
    if (cpu) usage.cpu_seconds = static_cast<double>(*cpu) / 1e6;
}

Usage usage_of(const net::UniqueFd& group, const fs::path& proc_root) {
    Usage usage;
    if (!group) return usage;
    set_cpu(usage, cpu_usec(group.get(), "cpu.stat"));
    add_io(group.get(), usage);
    Buffer buffer;
    usage.tasks = number(read_start(group.get(), "pids.current", buffer));
    usage.memory_bytes = number(read_start(group.get(), "memory.current", buffer));
    if (!usage.memory_bytes)
        usage.memory_bytes = resident_bytes(group.get(), "cgroup.procs", open_directory(proc_root).get());
    return usage;
}

// Most units are just below the slice, and are found at the first try.
net::UniqueFd group_of(std::string_view unit, const fs::path& cgroup_root) {
    if (auto group = open_directory(cgroup_root / process_slice / unit)) return group;
    return open_directory(unit_group(unit, cgroup_root));
}

} // namespace

BriefUsages::BriefUsages(Wanted wanted, fs::path cgroup_root, fs::path proc_root)
    : wanted_(wanted)
    , cgroup_root_(std::move(cgroup_root))
    , proc_root_(std::move(proc_root)) {}

void BriefUsages::open() {
    if (std::exchange(opened_, true)) return;
    slice_ = open_directory(slice_group(process_slice, cgroup_root_));
    proc_ = open_directory(proc_root_);
}

Usage BriefUsages::of(std::string_view unit) {
    open();
    if (slice_) {
        const auto usage = read(slice_.get(), std::string(unit) + "/", in_slice_);
        if (usage.cpu_usec || usage.memory_bytes) return usage;
    }
    // In the slice of another node.
    const auto group = open_directory(unit_group(unit, cgroup_root_));
    auto unknown = Controller::Unknown;
    return group ? read(group.get(), "", unknown) : Usage();
}

Usage BriefUsages::read(int directory, const std::string& prefix, Controller& memory) {
    Usage usage;
    if (wanted_ == Wanted::Both) {
        set_cpu(usage, cpu_usec(directory, (prefix + "cpu.stat").c_str()));
        if (!usage.cpu_usec) return usage; // each group has this file
    }
    if (memory != Controller::Absent) {
        Buffer buffer;
        usage.memory_bytes = number(read_start(directory, (prefix + "memory.current").c_str(), buffer));
        if (usage.memory_bytes) memory = Controller::Present;
    }
    if (usage.memory_bytes || memory == Controller::Present) return usage;
    usage.memory_bytes = resident_bytes(directory, (prefix + "cgroup.procs").c_str(), proc_.get());
    // That group is there, and has no memory.current: so it is with its neighbours.
    if (usage.memory_bytes) memory = Controller::Absent;
    return usage;
}

Usage read_usage(std::string_view unit, const fs::path& cgroup_root, const fs::path& proc_root) {
    return usage_of(group_of(unit, cgroup_root), proc_root);
}

Usage read_slice_usage(std::string_view slice, const fs::path& cgroup_root, const fs::path& proc_root) {
    const auto path = slice_group(slice, cgroup_root);
    const auto group = open_directory(path);
    auto usage = usage_of(group, proc_root);
    Buffer buffer;
    if (!group || !read_start(group.get(), "memory.current", buffer).empty()) return usage;
    // Without a controller: processes are in the groups of units.
    const auto proc = open_directory(proc_root);
    std::error_code error;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
        const auto unit = open_directory(entry->path());
        if (unit)
            usage.memory_bytes = usage.memory_bytes.value_or(0) +
                                 resident_bytes(unit.get(), "cgroup.procs", proc.get()).value_or(0);
    }
    return usage;
}

} // namespace p2prc::process
