// What the data of each record type must look like on the wire, and where names in it may be compressed.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge::dns {

// The names in the data of the types of RFC 1035, which alone may be compressed (RFC 3597 section 4): `lead`
// bytes, then `names` names, then the rest. Other types, TYPEnnn and those with names that came later: names
// == 0.
struct NameLayout {
    std::size_t lead = 0;
    std::size_t names = 0;
};
NameLayout compressible_names(std::uint16_t type) noexcept;

// Whether `rdata` (uncompressed) is well formed for `type`; the error says what is wrong with it, without the
// owner. Types this server has no rule for are taken as they are (RFC 3597).
Result<void> check_rdata(std::uint16_t type, std::string_view rdata);

// Whether a zone may hold `type` at all.
Result<void> check_type(std::uint16_t type);

// The mnemonic, or TYPEnnn.
std::string type_name(std::uint16_t type);

} // namespace p2prc::edge::dns
