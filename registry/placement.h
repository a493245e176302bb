// Where a process may run: all nodes, what is in the way on each, and the one that is chosen.
//
// Pure: the registry decides by it within a transaction, and explains by it, so that an explanation cannot
// differ from the act on the same state. What nodes say of themselves is another machine's word: each value
// is checked and bounded here, and what is missing counts as not known.
#pragma once

#include "core/json.h"
#include "core/records.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace p2prc::registry {

// One reason why a process cannot run on a node.
struct Obstacle {
    std::string code; // for programs: "memory"
    std::string text; // "needs 2.0G of memory, 1.2G are free"
    std::string fix;  // what to do about it
    friend bool operator==(const Obstacle&, const Obstacle&) = default;
};

// A node as far as the choice needs it.
struct Candidate {
    NodeRecord record;
    std::string live;           // up, suspect or lost
    std::string since;          // RFC 3339; empty: not known
    const Json* info = nullptr; // what it reports of itself; nullptr: nothing yet
    // Memory that was promised to processes there and that the report does not show yet.
    std::uint64_t promised_bytes = 0;
    std::optional<Obstacle> port = {};  // why it cannot have its ports there
    std::optional<Obstacle> local = {}; // what the node itself says, when it is the one that asks
    bool asks = false;                  // the request comes from there
    bool has_it = false;                // the process is there already
    bool has_deployed = false;          // what its deployer makes may be there already
};

struct PlacementRow {
    std::string node;
    bool fits = false;
    bool chosen = false;
    double score = 0; // among those that fit, where the file gives no order
    std::vector<Obstacle> obstacles;
    std::string summary; // of one that fits: how much room it has
};

// A row for each candidate, and for each node that only the file names, in the order of their names. Chosen
// is where the process is already, as it stays there; else, if it fits, `wanted`; else, without [placement]
// in the file, the node that asks; else the best of those that fit.
std::vector<PlacementRow> place(const ProcessSpec& spec, std::span<const Candidate> candidates,
                                const std::string& wanted);

// Which node was chosen. NoSuitableNode says what is in the way: on `wanted`, or else on each node.
Result<std::string> chosen_node(const ProcessSpec& spec, std::span<const PlacementRow> rows,
                                const std::string& wanted);

// Whether the node that reports `info` can run the deployer of `spec` for other nodes: NotPermitted where it
// does not admit it, NoSuitableNode where it is not there or lacks something, or where that is not known.
Result<void> check_reported_deployer(const ProcessSpec& spec, const Json* info, const std::string& node);

// The least memory that must be free for it; of a process without [placement] nothing is asked.
std::uint64_t needed_memory(const ProcessSpec& spec) noexcept;

// [{node, fits, chosen, score, summary, obstacles: [{code, text, fix}]}]
Json rows_to_json(std::span<const PlacementRow> rows);

} // namespace p2prc::registry
