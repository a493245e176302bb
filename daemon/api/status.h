// The data of `p2prc status`, and the facts that `p2prc doctor` needs.
#pragma once

#include "daemon/api/view.h"
#include "registry/gateway.h"

#include <cstdint>
#include <optional>

namespace p2prc::daemon {

// What the helpers reported last (empty objects when they have not), and what p2prcd itself could not do.
struct HelperReports {
    Json edge = Json::object();
    Json connector = Json::object();
    // The table that the edge is to serve.
    std::uint64_t routes_revision = 0;
    std::uint64_t routes_left_out = 0; // parts that are more than it can be told
    std::optional<Error> unconfined;   // why processes are not kept to their ports
};

// {version, node, root (b), role: nothing in no fleet, reachable (b), fleet: {zone, root, public_ips, acme},
// nodes, processes, domains, tunnels, certificates: counts by state, edge: "up", "down" or nothing without a
// root, problems: as daemon/api/problems.h has them}
Json status_document(const View& view, bool is_root, const registry::Gateway& gateway);

// Status, and {link_error, link_hint: while not reachable, unconfined, unconfined_hint: while processes are
// not kept to their ports, edge_report, connector: reports, routes: {revision, left_out}, own_certificates,
// node_list, process_list, mapped: [..], revision}.
Json facts_document(const View& view, bool is_root, const registry::Gateway& gateway,
                    const HelperReports& reports);

} // namespace p2prc::daemon
