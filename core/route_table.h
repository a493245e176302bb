// All that an edge needs, as one value: routes, the connectors that may open tunnels, and DNS zones.
//
// It comes from p2prcd over D-Bus, from the edge's cache of that, or from a file of routes.
#pragma once

#include "core/error.h"
#include "core/records.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// One name. `to` is set in a file of routes (dial it); `node_key` and `mapping_id` in a fleet (through the
// tunnel of the connector with that key).
struct Route {
    std::string domain; // normalised; "*.home.example" is exactly one left label
    std::string to;     // "127.0.0.1:9443"
    std::string node_key;
    std::uint32_t mapping_id = 0;
    TlsMode tls = TlsMode::Passthrough;
    friend bool operator==(const Route&, const Route&) = default;
};

// A record that p2prcd adds to a zone beside the mapped names, such as a DNS-01 challenge.
struct ZoneRecord {
    std::string name; // fully qualified, no trailing dot
    std::string type; // "TXT"
    std::uint32_t ttl = 60;
    std::string data; // presentation form (RFC 1035 section 5.1)
    friend bool operator==(const ZoneRecord&, const ZoneRecord&) = default;
};

struct Zone {
    std::string name;
    std::vector<std::string> addresses; // what mapped names, the apex and ns1 resolve to
    std::string file_text;              // an RFC 1035 master file, already read; empty: none
    std::string file_name;              // for errors
    std::vector<ZoneRecord> records;
    friend bool operator==(const Zone&, const Zone&) = default;
};

struct RouteTable {
    std::uint64_t revision = 0;
    std::vector<Route> routes;
    std::vector<Zone> zones;
    std::vector<std::string> connector_keys; // fingerprints that may open a tunnel session
    friend bool operator==(const RouteTable&, const RouteTable&) = default;
};

// A part of a table that cannot be served and is left out, alone.
struct Rejection {
    std::string name; // of the route, zone or record
    std::string reason;
    friend bool operator==(const Rejection&, const Rejection&) = default;
};

nlohmann::json to_json(const RouteTable&);
Result<RouteTable> route_table_from_json(const nlohmann::json&);

// A file of routes. Strict; errors carry file, line and key. `file` names it in
// errors, and a zone's `file` is read relative to its directory by `read`.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;
Result<RouteTable> route_table_from_toml(std::string_view text, const std::string& file,
                                         const ReadFile& read);

} // namespace p2prc
