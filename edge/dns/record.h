// One record as read from text: a zone file's line, or a record that the daemon adds.
#pragma once

#include "core/error.h"
#include "core/route_table.h"
#include "edge/dns/name.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge::dns {

struct Record {
    Name owner; // lower case
    std::uint16_t type = 0;
    std::uint32_t ttl = 0;
    std::string rdata; // wire form, uncompressed
    std::string where; // "home.zone:12", for errors
};

// The records of a master file (RFC 1035 section 5) with `origin` as its first $ORIGIN. $INCLUDE is refused.
// Errors carry `file` and the line.
Result<std::vector<Record>> parse_master_file(const std::string& text, const std::string& file,
                                              const Name& origin);

// One record in presentation form.
Result<Record> parse_record(const ZoneRecord& record);

} // namespace p2prc::edge::dns
