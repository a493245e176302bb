// What the edge counts: one row for each number, read by logs, reports and tests alike.
#pragma once

#include "edge/sni/client_hello.h"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace p2prc::edge {

struct Counters {
    std::uint64_t accepted = 0;       // connections on both ports
    std::uint64_t over_limit = 0;     // evicted: too many connections were not classified yet
    std::uint64_t over_bytes = 0;     // evicted: they held too many bytes in total, this one the most
    std::uint64_t no_descriptors = 0; // accept failed for lack of descriptors or memory
    std::uint64_t first_timeout = 0;  // sent too little in time
    std::uint64_t first_closed = 0;   // left before it was classified
    std::uint64_t routed = 0;         // carried to a route
    std::uint64_t control = 0;        // carried to p2prcd
    std::uint64_t sessions = 0;       // handed to the tunnel as sessions
    std::uint64_t flows = 0;          // handed to the tunnel as flow connections
    std::uint64_t no_name = 0;        // a hello without a name
    std::uint64_t unknown_name = 0;   // a hello with a name that has no route
    std::uint64_t unserved = 0;       // a hello for a service that is not offered here
    std::uint64_t redirected = 0;     // HTTP requests answered with 308
    std::uint64_t http_refused = 0;   // other answers to HTTP requests
    std::uint64_t dial_failed = 0;    // a route's target did not answer
    std::uint64_t resets = 0;         // relayed connections that ended in a reset
    std::uint64_t idle_closed = 0;    // relayed connections that were idle or half-closed for too long
    std::array<std::uint64_t, hello_refusal_count> refused{}; // hellos, by HelloRefusal
};

struct CounterInfo {
    std::string_view name;
    std::uint64_t Counters::* value;
};
extern const std::array<CounterInfo, 18> counter_table;

// {"accepted": 3, ..., "refused": {"not-tls": 1, ...}}
nlohmann::json to_json(const Counters& counters);

} // namespace p2prc::edge
