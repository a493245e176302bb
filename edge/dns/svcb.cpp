#include "edge/dns/svcb.h"

#include "edge/dns/name.h"
#include "edge/dns/wire.h"

#include <fmt/core.h>

#include <map>

namespace p2prc::edge::dns {
namespace {

using Parameters = std::map<std::uint16_t, std::string_view>;

enum Key : std::uint16_t { Mandatory = 0, Alpn = 1, NoDefaultAlpn = 2, Port = 3, Ipv4Hint = 4, Ipv6Hint = 6 };

std::unexpected<Error> bad(std::string message) {
    return fail(ErrorCode::InvalidSpec, std::move(message));
}

// RFC 9460 section 8: sorted, no duplicates, not itself, each present.
Result<void> check_mandatory(std::string_view value, const Parameters& parameters) {
    if (value.empty() || value.size() % 2 != 0) return bad("'mandatory' must list keys");
    int last = -1;
    for (std::size_t at = 0; at < value.size(); at += 2) {
        const std::uint16_t key = get16(value, at);
        if (key == Mandatory) return bad("'mandatory' must not list itself");
        if (key <= last) return bad(fmt::format("'mandatory' lists key {} twice or out of order", key));
        if (!parameters.contains(key))
            return bad(fmt::format("'mandatory' lists key {}, which is absent", key));
        last = key;
    }
    return {};
}

// RFC 9460 section 7.1.1: one or more identifiers of 1 to 255 bytes.
Result<void> check_alpn(std::string_view value) {
    if (value.empty()) return bad("'alpn' is empty");
    while (!value.empty()) {
        const std::size_t size = static_cast<std::uint8_t>(value[0]);
        if (size == 0 || value.size() - 1 < size) return bad("'alpn' holds an empty or cut identifier");
        value.remove_prefix(1 + size);
    }
    return {};
}

Result<void> check_value(std::uint16_t key, std::string_view value, const Parameters& parameters) {
    switch (key) {
    case Mandatory:
        return check_mandatory(value, parameters);
    case Alpn:
        return check_alpn(value);
    case NoDefaultAlpn:
        if (!value.empty()) return bad("'no-default-alpn' takes no value");
        if (!parameters.contains(Alpn)) return bad("'no-default-alpn' needs 'alpn'");
        return {};
    case Port:
        return value.size() == 2 ? Result<void>{} : bad("'port' must be one number");
    case Ipv4Hint:
        return !value.empty() && value.size() % 4 == 0 ? Result<void>{}
                                                       : bad("'ipv4hint' must be IPv4 addresses");
    case Ipv6Hint:
        return !value.empty() && value.size() % 16 == 0 ? Result<void>{}
                                                        : bad("'ipv6hint' must be IPv6 addresses");
    default:
        return {};
    }
}

} // namespace

Result<void> check_svcb(std::string_view rdata) {
    if (rdata.size() < 3) return bad("its data is too short");
    const std::size_t target = name_length(rdata.substr(2));
    if (target == 0) return bad("its target is not a name");
    std::string_view rest = rdata.substr(2 + target);
    Parameters parameters;
    int last = -1;
    while (!rest.empty()) {
        if (rest.size() < 4) return bad("its parameters are cut short");
        const std::uint16_t key = get16(rest, 0);
        const std::size_t size = get16(rest, 2);
        if (rest.size() - 4 < size) return bad("its parameters are cut short");
        if (key <= last) return bad(fmt::format("parameter key {} is there twice or out of order", key));
        parameters.emplace(key, rest.substr(4, size));
        rest.remove_prefix(4 + size);
        last = key;
    }
    for (const auto& [key, value] : parameters)
        if (auto good = check_value(key, value, parameters); !good) return good;
    return {};
}

} // namespace p2prc::edge::dns
