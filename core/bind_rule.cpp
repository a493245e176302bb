#include "core/bind_rule.h"

#include "core/text.h"

#include <fmt/format.h>

#include <charconv>

namespace p2prc {

namespace {

constexpr std::string_view no_port = "none";
constexpr std::string_view low_prefix = "low-";

std::optional<std::uint16_t> port_of(std::string_view digits) {
    std::uint16_t port = 0;
    const auto* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, port);
    if (read.ec != std::errc{} || read.ptr != end || port == 0) return std::nullopt;
    return port;
}

} // namespace

std::string bind_rule_name(const BindRule& rule) {
    if (!rule.port) return std::string(no_port);
    return fmt::format("{}{}", rule.free_ports ? low_prefix : "", *rule.port);
}

Result<BindRule> bind_rule_from_name(std::string_view name) {
    BindRule rule;
    if (name == no_port) return rule;
    rule.free_ports = name.starts_with(low_prefix);
    rule.port = port_of(rule.free_ports ? name.substr(low_prefix.size()) : name);
    // Only what is written as bind_rule_name() writes it: it is a part of a file's name.
    if (rule.port && bind_rule_name(rule) == name) return rule;
    return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is no rule for ports", text::excerpt(name)),
                "a rule is a port, low-PORT or none");
}

std::string_view bind_attach_name(BindFamily family) noexcept {
    return family == BindFamily::Inet4 ? "bind4" : "bind6";
}

std::string bind_program_name(BindFamily family, const BindRule& rule) {
    return fmt::format("{}-{}", bind_attach_name(family), bind_rule_name(rule));
}

} // namespace p2prc
