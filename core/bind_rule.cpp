#include "core/bind_rule.h"

#include "core/process_spec.h"
#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <optional>

namespace p2prc {

namespace {

constexpr std::string_view no_port = "none";
constexpr std::string_view low_prefix = "low-";
// A process's `port`, and its further ones.
constexpr std::size_t most_ports = 1 + most_further_ports;

std::optional<std::uint16_t> port_of(std::string_view digits) {
    std::uint16_t port = 0;
    const auto* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, port);
    if (read.ec != std::errc{} || read.ptr != end || port == 0) return std::nullopt;
    return port;
}

} // namespace

std::string bind_rule_name(const BindRule& rule) {
    if (rule.ports.empty()) return std::string(no_port);
    return fmt::format("{}{}", rule.free_ports ? low_prefix : "", fmt::join(rule.ports, "+"));
}

Result<BindRule> bind_rule_from_name(std::string_view name) {
    BindRule rule;
    if (name == no_port) return rule;
    rule.free_ports = name.starts_with(low_prefix);
    auto rest = rule.free_ports ? name.substr(low_prefix.size()) : name;
    bool good = true;
    while (good) {
        const auto end = rest.find('+');
        const auto port = port_of(rest.substr(0, end));
        good = port && (rule.ports.empty() || rule.ports.back() < *port) && rule.ports.size() < most_ports;
        if (good) rule.ports.push_back(*port);
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    // Only what is written as bind_rule_name() writes it: it is a part of a file's name.
    if (good && bind_rule_name(rule) == name) return rule;
    return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is no rule for ports", text::excerpt(name)),
                "a rule is ports (8120, 8384+22000), low-PORTS or none");
}

std::string_view bind_attach_name(BindFamily family) noexcept {
    return family == BindFamily::Inet4 ? "bind4" : "bind6";
}

std::string bind_program_name(BindFamily family, const BindRule& rule) {
    return fmt::format("{}-{}", bind_attach_name(family), bind_rule_name(rule));
}

std::string_view rule_of_bind_program(std::string_view path) noexcept {
    const auto name = path.substr(path.rfind('/') + 1);
    for (const auto family : {BindFamily::Inet4, BindFamily::Inet6}) {
        const auto attached = bind_attach_name(family);
        if (name.starts_with(attached) && name.substr(attached.size()).starts_with('-'))
            return name.substr(attached.size() + 1);
    }
    return {};
}

} // namespace p2prc
