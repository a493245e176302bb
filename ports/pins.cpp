#include "ports/pins.h"

#include "net/fd.h"
#include "ports/bind_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::ports {

namespace fs = std::filesystem;

namespace {

long bpf(bpf_cmd command, bpf_attr& attributes) {
    return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

std::uint64_t address(const void* data) {
    return reinterpret_cast<std::uintptr_t>(data); // the kernel takes pointers as numbers
}

bpf_attach_type attach_type(BindFamily family) {
    return family == BindFamily::Inet4 ? BPF_CGROUP_INET4_BIND : BPF_CGROUP_INET6_BIND;
}

std::string program_name(BindFamily family) {
    return fmt::format("p2prc_{}", bind_attach_name(family));
}

Result<net::UniqueFd> load(BindFamily family, const BindRule& rule) {
    const auto program = bind_program(rule);
    const char license[] = "LGPL"; // no helper function is called that asks for another
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    attributes.expected_attach_type = attach_type(family);
    attributes.insns = address(program.data());
    attributes.insn_cnt = static_cast<__u32>(program.size());
    attributes.license = address(license);
    program_name(family).copy(attributes.prog_name, sizeof(attributes.prog_name) - 1);
    net::UniqueFd loaded(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
    if (!loaded) return std::unexpected(system_error("cannot load a BPF program", errno));
    return loaded;
}

std::optional<bpf_prog_info> info_of(const net::UniqueFd& program) {
    bpf_prog_info info{};
    bpf_attr attributes{};
    attributes.info.bpf_fd = static_cast<__u32>(program.get());
    attributes.info.info_len = sizeof(info);
    attributes.info.info = address(&info);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) != 0) return std::nullopt;
    return info;
}

// The tag is the kernel's digest of the instructions; the name tells the family.
bool same_program(const net::UniqueFd& one, const net::UniqueFd& other) {
    const auto a = info_of(one);
    const auto b = info_of(other);
    return a && b && a->type == b->type && std::ranges::equal(a->tag, b->tag) &&
           std::ranges::equal(a->name, b->name);
}

bool is_pinned(const net::UniqueFd& program, const fs::path& path) {
    bpf_attr attributes{};
    attributes.pathname = address(path.c_str());
    const net::UniqueFd pinned(static_cast<int>(bpf(BPF_OBJ_GET, attributes)));
    return pinned && same_program(pinned, program);
}

Result<void> pin_one(BindFamily family, const BindRule& rule, const fs::path& path) {
    const auto program = load(family, rule);
    if (!program) return std::unexpected(program.error());
    if (is_pinned(*program, path)) return {};
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
        return std::unexpected(system_error(fmt::format("cannot remove {}", path.string()), errno));
    bpf_attr attributes{};
    attributes.pathname = address(path.c_str());
    attributes.bpf_fd = static_cast<__u32>(program->get());
    // Another run may pin the same at the same time.
    if (bpf(BPF_OBJ_PIN, attributes) != 0 && !is_pinned(*program, path))
        return std::unexpected(system_error(fmt::format("cannot pin {}", path.string()), errno));
    return {};
}

// Those that are attached to the control group itself, and not to one above it.
std::vector<__u32> attached_ids(const net::UniqueFd& cgroup, BindFamily family) {
    constexpr std::size_t most_attached = 64; // BPF_CGROUP_MAX_PROGS
    std::vector<__u32> ids(most_attached);
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<__u32>(cgroup.get());
    attributes.query.attach_type = attach_type(family);
    attributes.query.prog_ids = address(ids.data());
    attributes.query.prog_cnt = static_cast<__u32>(ids.size());
    if (bpf(BPF_PROG_QUERY, attributes) != 0) return {};
    ids.resize(attributes.query.prog_cnt);
    return ids;
}

bool is_attached(const net::UniqueFd& program, const net::UniqueFd& cgroup, BindFamily family) {
    return std::ranges::any_of(attached_ids(cgroup, family), [&](__u32 id) {
        bpf_attr attributes{};
        attributes.prog_id = id;
        const net::UniqueFd other(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, attributes)));
        return other && same_program(program, other);
    });
}

Result<void> attach_one(BindFamily family, const BindRule& rule, const net::UniqueFd& cgroup) {
    const auto program = load(family, rule);
    if (!program) return std::unexpected(program.error());
    if (is_attached(*program, cgroup, family)) return {};
    bpf_attr attributes{};
    attributes.target_fd = static_cast<__u32>(cgroup.get());
    attributes.attach_bpf_fd = static_cast<__u32>(program->get());
    attributes.attach_type = attach_type(family);
    attributes.attach_flags = BPF_F_ALLOW_MULTI; // as systemd does
    if (bpf(BPF_PROG_ATTACH, attributes) != 0)
        return std::unexpected(system_error("cannot attach a BPF program to the control group", errno));
    return {};
}

bool is_of_type(const fs::path& path, std::uint64_t magic) {
    struct statfs info{};
    return statfs(path.c_str(), &info) == 0 && static_cast<std::uint64_t>(info.f_type) == magic;
}

} // namespace

Result<void> pin(const BindRule& rule, const fs::path& directory) {
    std::error_code error;
    fs::create_directory(directory, error);
    if (error)
        return std::unexpected(
            system_error(fmt::format("cannot make {}", directory.string()), error.value()));
    for (const auto family : {BindFamily::Inet4, BindFamily::Inet6}) {
        const auto done = pin_one(family, rule, directory / bind_program_name(family, rule));
        if (!done) return done;
    }
    return {};
}

Result<void> unpin(const BindRule& rule, const fs::path& directory) {
    for (const auto family : {BindFamily::Inet4, BindFamily::Inet6}) {
        const auto path = directory / bind_program_name(family, rule);
        if (unlink(path.c_str()) != 0 && errno != ENOENT)
            return std::unexpected(system_error(fmt::format("cannot remove {}", path.string()), errno));
    }
    return {};
}

Result<void> attach(const BindRule& rule, const fs::path& cgroup) {
    const net::UniqueFd directory(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory)
        return std::unexpected(system_error(fmt::format("cannot open {}", cgroup.string()), errno));
    for (const auto family : {BindFamily::Inet4, BindFamily::Inet6})
        if (auto done = attach_one(family, rule, directory); !done) return done;
    return {};
}

Result<fs::path> own_cgroup(const fs::path& root) {
    // cgroups(7): "0::/PATH" for the unified hierarchy.
    constexpr std::string_view unified = "0::/";
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(unified)) return root / line.substr(unified.size());
    return fail(ErrorCode::NotSupported, "this machine has no unified hierarchy of control groups");
}

Result<void> check_machine(const fs::path& bpf_root, const fs::path& cgroup_root) {
    if (!is_of_type(bpf_root, BPF_FS_MAGIC))
        return fail(ErrorCode::NotSupported, fmt::format("no BPF file system is at {}", bpf_root.string()),
                    "systemd mounts it on a machine of its own, and not in a container");
    // bpf_foreign_supported() of systemd.
    if (!is_of_type(cgroup_root, CGROUP2_SUPER_MAGIC))
        return fail(ErrorCode::NotSupported,
                    fmt::format("{} is not the unified hierarchy of control groups", cgroup_root.string()),
                    "systemd.unified_cgroup_hierarchy=1 on the kernel's command line makes it so");
    return {};
}

} // namespace p2prc::ports
