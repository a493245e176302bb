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

// Whether all zones of a table can be served as they are.
Result<void> check_zones(const RouteTable& table);

// What can be served of a zone: one bad record or address does not take the others along.
struct AdmittedZone {
    Zone asked;                 // as it came
    std::optional<Zone> served; // without what was left out; nothing: there is no serving it
    std::vector<Rejection> rejected;
};
AdmittedZone admit_zone(const Zone& zone);

// The zones of a table, each on its own. One that cannot be served, as with a file that has an error, stays
// as it is in `before`; one that is equal to what was asked for then is not looked at again.
std::vector<AdmittedZone> admit_zones(const RouteTable& table, std::span<const AdmittedZone> before);

// All zones of a table that check_zones has found good, each route's domain given to the deepest zone that
// holds it.
Result<std::vector<ZoneData>> compile_zones(const RouteTable& table);

} // namespace p2prc::edge::dns
