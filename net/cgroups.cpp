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

} // namespace

bool limits_memory(const std::filesystem::path& cgroup_root) {
    // With cgroup v1 beside it the memory controller is a hierarchy of its own.
    std::error_code ignored;
    if (std::filesystem::exists(cgroup_root / "memory/memory.limit_in_bytes", ignored)) return true;
    const auto controllers = read_file(cgroup_root / "cgroup.controllers", 4096);
    return controllers && has_word(*controllers, "memory");
}

bool confines_ports(std::string_view systemd_features) noexcept {
    return has_word(systemd_features, "+BPF_FRAMEWORK");
}

} // namespace p2prc::net
