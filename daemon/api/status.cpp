#include "daemon/api/status.h"

#include "core/json_members.h"
#include "daemon/api/documents.h"
#include "daemon/api/problems.h"

namespace p2prc::daemon {

namespace {

Json count_by_state(const Json& documents) {
    Json counts = Json::object();
    for (const Json& document : documents) {
        const auto state = json::member<std::string>(document, "state", "unknown");
        counts[state] = json::member<std::uint64_t>(counts, state) + 1;
    }
    return counts;
}

// Of the nodes that have a part in the public side.
Json tunnels(const View& view) {
    Json counts = Json::object();
    const auto* fleet = view.fleet();
    if (!fleet || fleet->root.empty()) return counts;
    for (const auto& node : view.nodes()) {
        const auto tunnel = view.get(keys::tunnel(node.name));
        const bool up = tunnel && json::member<bool>(*tunnel, "up") && view.live(node.name) == "up";
        const std::string state = up ? "up" : tunnel_is_connecting(view, node.name) ? "connecting" : "down";
        counts[state] = json::member<std::uint64_t>(counts, state) + 1;
    }
    return counts;
}

Json certificates(const View& view) {
    Json counts = Json::object();
    for (const auto& domain : view.domains()) {
        if (domain.tls != TlsMode::Node) continue;
        const auto document = view.get(keys::certificate(domain.node, domain.domain));
        const auto state = document ? json::member<std::string>(*document, "state", "none") : "none";
        counts[state] = json::member<std::uint64_t>(counts, state) + 1;
    }
    return counts;
}

Json edge(const View& view) {
    const auto document = view.edge();
    if (!document) return nullptr;
    return json::member<bool>(*document, "up") ? "up" : "down";
}

} // namespace

Json status_document(const View& view, bool is_root, const registry::Gateway& gateway) {
    const Json processes = process_rows(view);
    const Json nodes = node_rows(view);
    const Json domains = domain_rows(view);
    const auto* fleet = view.fleet();
    const auto* self = view.node_record(view.node());
    const bool reachable = gateway.reachable();
    Json about_fleet = Json::object();
    if (fleet)
        about_fleet = {{"zone", fleet->zone},
                       {"root", fleet->root},
                       {"public_ips", fleet->public_ips},
                       {"acme", fleet->acme}};
    return {{"version", P2PRC_VERSION},
            {"node", view.node()},
            {"root", is_root},
            {"role", self && fleet && !fleet->zone.empty() ? Json(role_name(self->role)) : Json(nullptr)},
            {"reachable", reachable},
            {"fleet", about_fleet},
            {"nodes", count_by_state(nodes)},
            {"processes", count_by_state(processes)},
            {"domains", count_by_state(domains)},
            {"tunnels", tunnels(view)},
            {"certificates", certificates(view)},
            {"edge", edge(view)},
            {"problems", to_json(find_problems(view, gateway))}};
}

Json facts_document(const View& view, bool is_root, const registry::Gateway& gateway,
                    const HelperReports& reports) {
    Json facts = status_document(view, is_root, gateway);
    if (!gateway.reachable()) {
        const auto away = gateway.away();
        facts["link_error"] = away.message;
        facts["link_hint"] = away.hint;
    }
    if (reports.unconfined) {
        facts["unconfined"] = reports.unconfined->message;
        facts["unconfined_hint"] = reports.unconfined->hint;
    }
    facts["node_list"] = node_rows(view);
    facts["process_list"] = process_rows(view);
    facts["edge_report"] = reports.edge;
    facts["connector"] = reports.connector;
    facts["routes"] = {{"revision", reports.routes_revision}, {"left_out", reports.routes_left_out}};
    const auto* self = view.node_record(view.node());
    facts["edge_registered"] = self && !self->edge_key.empty();
    facts["connector_registered"] = self && !self->connector_key.empty();
    facts["revision"] = view.replica().revision();
    Json own_certificates = Json::array();
    for (const auto& [key, document] : view.own().range(keys::certificate_prefix(view.node())))
        own_certificates.push_back(*document);
    facts["own_certificates"] = own_certificates;
    facts["mapped"] = domain_rows(view);
    return facts;
}

} // namespace p2prc::daemon
