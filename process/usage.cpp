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

// A list of processes reads all of these files at once, so each is one open and one read, by a descriptor of
// the unit's directory: the kernel walks the long path once.
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

std::optional<std::uint64_t> cpu_usec(int group) {
    Buffer buffer;
    const auto text = read_start(group, "cpu.stat", buffer);
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
std::uint64_t resident_pages(const fs::path& proc_root, std::string_view pid) {
    Buffer buffer;
    const std::string path = proc_root.native() + "/" + std::string(pid) + "/statm";
    const auto text = read_start(AT_FDCWD, path.c_str(), buffer);
    const auto space = text.find(' ');
    return space == std::string_view::npos ? 0 : number(text.substr(space + 1)).value_or(0);
}

std::optional<std::uint64_t> resident_bytes(int group, const fs::path& proc_root) {
    const net::UniqueFd file(openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    std::string pids;
    Buffer buffer;
    for (ssize_t size; (size = read(file.get(), buffer.data(), buffer.size())) > 0;)
        pids.append(buffer.data(), static_cast<std::size_t>(size));
    std::uint64_t pages = 0;
    for (std::string_view rest = pids; !rest.empty();) {
        const auto end = rest.find('\n');
        pages += resident_pages(proc_root, rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return pages * page;
}

enum class Files { Brief, All };

// Of no group: nothing.
net::UniqueFd open_group(const fs::path& path) {
    return net::UniqueFd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

Usage usage_of(const net::UniqueFd& group, const fs::path& proc_root, Files files) {
    Usage usage;
    if (!group) return usage;
    usage.cpu_usec = cpu_usec(group.get());
    if (usage.cpu_usec) usage.cpu_seconds = static_cast<double>(*usage.cpu_usec) / 1e6;
    Buffer buffer;
    if (files == Files::All) {
        add_io(group.get(), usage);
        usage.tasks = number(read_start(group.get(), "pids.current", buffer));
    }
    usage.memory_bytes = number(read_start(group.get(), "memory.current", buffer));
    if (!usage.memory_bytes) usage.memory_bytes = resident_bytes(group.get(), proc_root);
    return usage;
}

// Most units are just below the slice, and are found at the first try.
net::UniqueFd group_of(std::string_view unit, const fs::path& cgroup_root) {
    if (auto group = open_group(cgroup_root / process_slice / unit)) return group;
    return open_group(unit_group(unit, cgroup_root));
}

} // namespace

Usage read_usage(std::string_view unit, const fs::path& cgroup_root, const fs::path& proc_root) {
    return usage_of(group_of(unit, cgroup_root), proc_root, Files::All);
}

Usage read_brief_usage(std::string_view unit, const fs::path& cgroup_root, const fs::path& proc_root) {
    return usage_of(group_of(unit, cgroup_root), proc_root, Files::Brief);
}

Usage read_slice_usage(std::string_view slice, const fs::path& cgroup_root, const fs::path& proc_root) {
    const auto path = slice_group(slice, cgroup_root);
    const auto group = open_group(path);
    auto usage = usage_of(group, proc_root, Files::All);
    Buffer buffer;
    if (!group || !read_start(group.get(), "memory.current", buffer).empty()) return usage;
    // Without a controller: processes are in the groups of units.
    std::error_code error;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
        const auto unit = open_group(entry->path());
        if (unit)
            usage.memory_bytes =
                usage.memory_bytes.value_or(0) + resident_bytes(unit.get(), proc_root).value_or(0);
    }
    return usage;
}

} // namespace p2prc::process
