#include "ports/pins.h"

#include "net/fd.h"
#include "ports/bind_program.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

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
