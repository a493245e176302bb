// What a process uses, as its node counts it: passed from node to node while somebody watches, and kept by
// none.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace p2prc {

// Counters begin at 0 with each run, but for those of the edge: they begin with the connector. Nothing: it is
// not measured there.
struct ProcessUsage {
    std::string invocation; // systemd's id of the run that is measured
    std::optional<std::uint64_t> memory_bytes;
    std::optional<std::uint64_t> cpu_usec;
    std::optional<std::uint64_t> io_read_bytes;
    std::optional<std::uint64_t> io_written_bytes;
    std::optional<std::uint64_t> tasks;
    // Clients that came through the edge: connected now, and the bytes that passed from and to them.
    std::optional<std::uint64_t> connections;
    std::optional<std::uint64_t> received_bytes;
    std::optional<std::uint64_t> sent_bytes;
    friend bool operator==(const ProcessUsage&, const ProcessUsage&) = default;
};

// Of all processes that a node runs, by id. `measured_usec` is when, by that node's own CLOCK_BOOTTIME.
struct NodeUsage {
    std::uint64_t measured_usec = 0;
    std::map<std::uint32_t, ProcessUsage> processes;
    friend bool operator==(const NodeUsage&, const NodeUsage&) = default;
};

nlohmann::json to_json(const NodeUsage& usage);
NodeUsage node_usage_from_json(const nlohmann::json& document); // tolerant: it comes from another node

// The members of a process alone, null where they are not measured.
nlohmann::json to_json(const ProcessUsage& usage);

} // namespace p2prc
