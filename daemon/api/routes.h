// What edge and connector work from, made from the agreed state: functions from state to value.
#pragma once

#include "core/route_table.h"
#include "daemon/api/view.h"

namespace p2prc::daemon {

// Every mapped name, also those that nobody serves now: the edge answers DNS for them all, so that no
// resolver remembers that a name did not exist. Their route has no node_key.
RouteTable route_table(const View& view);

// The same for one name that may have changed; whether it has. The table must not have been cut.
bool update_route(RouteTable& table, const View& view, const std::string& domain);

// Leaves out what one answer to the edge cannot carry, the last names first; how many parts that were.
std::size_t cut_to_fit(RouteTable& table);

// What this node's connector works from: {edges: [{address, key}], acme, zone, mappings}, with the mappings
// that Serving has found.
Json connector_document(const View& view, const Json& mappings);

// The zones of the fleet: [{name, addresses, names}].
Json zone_documents(const View& view);
// The records of one: [{name, type, ttl, data}]. The edge counts the serial of the SOA: it is 0 where
// `edge_report`, what the edge reported last, does not have it.
Result<Json> record_documents(const View& view, const std::string& zone, const Json& edge_report);

} // namespace p2prc::daemon
