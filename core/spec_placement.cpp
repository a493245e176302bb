#include "core/labels.h"
#include "core/names.h"
#include "core/spec_bindings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace p2prc {
namespace {

Refusal set_nodes(ProcessSpec& spec, const Json& value) {
    auto nodes = value.get<std::vector<std::string>>();
    if (nodes.size() > most_placement_nodes)
        return fmt::format("has more than {} nodes", most_placement_nodes);
    std::set<std::string> seen;
    for (const auto& node : nodes) {
        if (const auto good = check_node_name(node); !good) return {good.error().message, good.error().hint};
        if (!seen.insert(node).second) return fmt::format("'{}' is there twice", node);
    }
    spec.placement.nodes = std::move(nodes);
    return "";
}

// What Debian, Docker and Go call the architectures that uname(2) calls otherwise.
constexpr std::array other_arch_names{
    std::pair{std::string_view("amd64"), "x86_64"}, std::pair{std::string_view("arm64"), "aarch64"},
    std::pair{std::string_view("armhf"), "armv7l"}, std::pair{std::string_view("i386"), "i686"}};

Refusal set_arch(ProcessSpec& spec, const Json& value) {
    auto arch = value.get<std::string>();
    constexpr std::size_t longest = 64; // of utsname, Linux
    for (const auto& [other, name] : other_arch_names)
        if (arch == other)
            return {fmt::format("'{}' is called otherwise here", arch),
                    fmt::format("write \"{}\", as uname -m prints it", name)};
    const auto belongs = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    if (arch.empty() || arch.size() > longest || !std::ranges::all_of(arch, belongs))
        return {"is not an architecture", "write what uname -m prints there, such as \"x86_64\""};
    spec.placement.require.arch = std::move(arch);
    return "";
}

Refusal set_required_labels(ProcessSpec& spec, const Json& value) {
    const auto list =
        value.is_string() ? std::vector{value.get<std::string>()} : value.get<std::vector<std::string>>();
    if (list.size() > most_required_labels)
        return fmt::format("has more than {} labels", most_required_labels);
    std::set<std::string> labels;
    for (const auto& label : list) {
        if (const auto good = parse_label(label); !good) return {good.error().message, good.error().hint};
        if (!labels.insert(label).second) return fmt::format("'{}' is there twice", label);
    }
    spec.placement.require.labels.assign(labels.begin(), labels.end());
    return "";
}

constexpr std::array placement_keys{
    Binding{"placement.nodes", set_nodes,
            [](const ProcessSpec& s) { return unless_empty(s.placement.nodes); }},
    Binding{"placement.require.arch", set_arch,
            [](const ProcessSpec& s) { return unless_empty(s.placement.require.arch); }},
    Binding{"placement.require.memory",
            [](ProcessSpec& s, const Json& v) { return set_size(s.placement.require.memory_bytes, v); },
            [](const ProcessSpec& s) { return get_size(s.placement.require.memory_bytes); }},
    Binding{"placement.require.disk",
            [](ProcessSpec& s, const Json& v) { return set_size(s.placement.require.disk_bytes, v); },
            [](const ProcessSpec& s) { return get_size(s.placement.require.disk_bytes); }},
    Binding{"placement.require.gpu",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.placement.require.gpu = v.get<bool>();
                return "";
            },
            [](const ProcessSpec& s) { return s.placement.require.gpu ? Json(true) : Json(nullptr); }},
    Binding{"placement.require.label", set_required_labels,
            [](const ProcessSpec& s) { return unless_empty(s.placement.require.labels); }},
};

} // namespace

std::span<const Binding> placement_bindings() noexcept {
    return placement_keys;
}

bool is_placed(const ProcessSpec& spec) noexcept {
    return spec.placement != PlacementSpec();
}

} // namespace p2prc
