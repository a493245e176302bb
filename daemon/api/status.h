// The whole picture on one screen, and the facts that a check-up needs.
#pragma once

#include "daemon/api/view.h"

#include <string>

namespace p2prc::daemon {

// What the helpers reported last; empty objects when they have not.
struct HelperReports {
    Json edge = Json::object();
    Json connector = Json::object();
};

// {version, node, root (b), reachable (b), fleet: {zone, root, public_ips, acme}, nodes, processes, domains:
// counts by state, problems: [{what, hint}]}
Json status_document(const View& view, bool is_root, bool reachable);

// Status, and {edge, connector: reports, certificates: [..], revision, store}.
Json facts_document(const View& view, bool is_root, bool reachable, const HelperReports& reports);

} // namespace p2prc::daemon
