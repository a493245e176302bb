// A zone as RRsets by name: its file's, the daemon's records and the ones made for mapped names, checked
// together.
#pragma once

#include "core/error.h"
#include "core/route_table.h"
#include "edge/dns/name.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace p2prc::edge::dns {

struct RRset {
    std::uint32_t ttl = 0;
    std::vector<std::string> rdata; // uncompressed, each once
    friend bool operator==(const RRset&, const RRset&) = default;
};

using RRsets = std::map<std::uint16_t, RRset>;

struct ZoneData {
    Name apex;                                 // lower case
    std::map<Name, RRsets, std::less<>> names; // lower case; no empty non-terminals
    std::optional<std::uint32_t> file_serial;  // of an SOA that the zone's file brings

    // The RRsets of `name`, or null.
    const RRsets* find(std::string_view name) const;
    // The SOA's serial: zero until set.
    void set_serial(std::uint32_t serial);
    std::uint32_t serial() const;
    // Of everything but the serial.
    std::array<std::uint8_t, 32> digest() const;

    friend bool operator==(const ZoneData&, const ZoneData&) = default;
};

// Makes the zone's data; `mapped` are the domains of routes that belong to it. SOA and NS are made unless the
// file brings them, addresses for the apex, ns1.. and mapped names unless there is data that answers for
// them. Refused with file and line: what no zone may hold, names outside the zone, CNAME beside other data or
// at the apex, more than one SOA.
Result<ZoneData> compile_zone(const Zone& zone, std::span<const std::string> mapped);

// Whether compile_zones(table) will succeed, without compiling zones that are equal to one of `known_good`:
// the routes of a table, which change most, cannot make a zone bad.
Result<void> check_zones(const RouteTable& table, std::span<const Zone> known_good);

// All zones of a table, each route's domain given to the deepest zone that holds it.
Result<std::vector<ZoneData>> compile_zones(const RouteTable& table);

} // namespace p2prc::edge::dns
