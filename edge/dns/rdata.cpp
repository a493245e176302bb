#include "edge/dns/rdata.h"

#include "edge/dns/constants.h"
#include "edge/dns/name.h"
#include "edge/dns/svcb.h"
#include "edge/dns/wire.h"

#include <fmt/core.h>

#include <array>
#include <utility>

namespace p2prc::edge::dns {
namespace {

std::unexpected<Error> bad(std::string message) {
    return fail(ErrorCode::InvalidSpec, std::move(message));
}

// Exactly: `lead` bytes, `names` names, `tail` bytes.
Result<void> check_layout(std::string_view rdata, std::size_t lead, std::size_t names, std::size_t tail) {
    if (rdata.size() < lead) return bad("its data is too short");
    rdata.remove_prefix(lead);
    for (std::size_t i = 0; i < names; ++i) {
        const std::size_t size = name_length(rdata);
        if (size == 0) return bad("its data holds no valid name");
        rdata.remove_prefix(size);
    }
    if (rdata.size() != tail) return bad("its data has the wrong length");
    return {};
}

Result<void> check_strings(std::string_view rdata) {
    if (rdata.empty()) return bad("it needs at least one string");
    while (!rdata.empty()) {
        const std::size_t size = 1 + std::size_t{static_cast<std::uint8_t>(rdata[0])};
        if (size > rdata.size()) return bad("a string in its data is cut short");
        rdata.remove_prefix(size);
    }
    return {};
}

// RFC 8659 section 4.1: the tag is 1 to 15 letters and digits.
Result<void> check_caa(std::string_view rdata) {
    if (rdata.size() < 2) return bad("its data is too short");
    const std::size_t tag = static_cast<std::uint8_t>(rdata[1]);
    if (tag == 0 || tag > 15 || rdata.size() < 2 + tag) return bad("its tag must be 1 to 15 characters");
    for (const char c : rdata.substr(2, tag))
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return bad("its tag may have letters and digits only");
    return {};
}

} // namespace

NameLayout compressible_names(std::uint16_t type) noexcept {
    switch (type) {
    case type::NS:
    case type::MD:
    case type::MF:
    case type::CNAME:
    case type::MB:
    case type::MG:
    case type::MR:
    case type::PTR:
        return {0, 1};
    case type::SOA:
    case type::MINFO:
        return {0, 2};
    case type::MX:
        return {2, 1};
    default:
        return {};
    }
}

Result<void> check_rdata(std::uint16_t type, std::string_view rdata) {
    switch (type) {
    case type::A:
        return check_layout(rdata, 4, 0, 0);
    case type::AAAA:
        return check_layout(rdata, 16, 0, 0);
    case type::SOA:
        return check_layout(rdata, 0, 2, 20);
    case type::SRV:
        return check_layout(rdata, 6, 1, 0);
    case type::TXT:
        return check_strings(rdata);
    case type::CAA:
        return check_caa(rdata);
    case type::DS:
        return rdata.size() > 4 ? Result<void>{} : bad("its digest is missing");
    case type::TLSA:
        return rdata.size() > 3 ? Result<void>{} : bad("its association data is missing");
    case type::SVCB:
    case type::HTTPS:
        return check_svcb(rdata);
    default:
        break;
    }
    if (const NameLayout layout = compressible_names(type); layout.names != 0)
        return check_layout(rdata, layout.lead, layout.names, 0);
    return {};
}

Result<void> check_type(std::uint16_t type) {
    switch (type) {
    case type::DNAME:
        return fail(ErrorCode::NotSupported, "DNAME records are not in this version",
                    "use a wildcard or CNAME records");
    case type::SIG:
    case type::KEY:
    case type::NXT:
    case type::RRSIG:
    case type::NSEC:
    case type::NSEC3:
    case type::NSEC3PARAM:
        return fail(ErrorCode::NotSupported, "signed zone files are not in this version",
                    "give the zone without its " + type_name(type) + " records");
    default:
        break;
    }
    if (is_meta(type))
        return fail(ErrorCode::InvalidSpec, "type " + type_name(type) + " cannot be in a zone",
                    "remove the record");
    return {};
}

std::string type_name(std::uint16_t type) {
    static constexpr auto known = std::to_array<std::pair<std::uint16_t, const char*>>(
        {{type::A, "A"},         {type::NS, "NS"},
         {type::CNAME, "CNAME"}, {type::SOA, "SOA"},
         {type::PTR, "PTR"},     {type::MX, "MX"},
         {type::TXT, "TXT"},     {type::SIG, "SIG"},
         {type::KEY, "KEY"},     {type::AAAA, "AAAA"},
         {type::NXT, "NXT"},     {type::SRV, "SRV"},
         {type::DNAME, "DNAME"}, {type::OPT, "OPT"},
         {type::DS, "DS"},       {type::RRSIG, "RRSIG"},
         {type::NSEC, "NSEC"},   {type::NSEC3, "NSEC3"},
         {type::TLSA, "TLSA"},   {type::NSEC3PARAM, "NSEC3PARAM"},
         {type::SVCB, "SVCB"},   {type::HTTPS, "HTTPS"},
         {type::CAA, "CAA"},     {type::TSIG, "TSIG"},
         {type::IXFR, "IXFR"},   {type::AXFR, "AXFR"},
         {type::ANY, "ANY"}});
    for (const auto& [number, name] : known)
        if (number == type) return name;
    return fmt::format("TYPE{}", type);
}

} // namespace p2prc::edge::dns
