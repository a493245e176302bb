// The records that a zone has without anybody writing them: the edge answers with them, and what a zone holds
// is listed with them.
#pragma once

#include "core/route_table.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// What is made for a zone. Records that a zone's file brings for the same names go before these.
struct MadeRecords {
    std::vector<ZoneRecord> name_servers;         // NS, at the apex
    std::vector<std::vector<ZoneRecord>> servers; // the addresses of ns1, of ns2, ...
    std::vector<ZoneRecord> addresses;            // at the apex; each mapped name has the same
};

// `zone` is in lower case, without a dot at its end. What is no address is left out.
MadeRecords made_records(std::string_view zone, std::span<const std::string> addresses);

// The SOA of a zone whose first name server is `primary`.
ZoneRecord soa_record(std::string_view zone, std::string_view primary, std::uint32_t serial);

// All records of a zone without a file, SOA first; `mapped` are the names mapped in it.
std::vector<ZoneRecord> zone_records(const Zone& zone, std::span<const std::string> mapped,
                                     std::uint32_t serial);

} // namespace p2prc
