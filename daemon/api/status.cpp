#include "daemon/api/status.h"

#include "core/json_members.h"
#include "daemon/api/documents.h"

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

Json problem(std::string what, std::string hint) {
    return {{"what", std::move(what)}, {"hint", std::move(hint)}};
}

void process_problems(const Json& processes, Json& problems) {
    for (const Json& process : processes) {
        const auto state = json::member<std::string>(process, "state");
        if (state != "failed" && state != "lost") continue;
        const auto name = json::member<std::string>(process, "name");
        std::string what = "process '" + name + "' is " + state;
        if (process["reason"].is_object()) what += ": " + reason_text(reason_from_json(process["reason"]));
        problems.push_back(problem(what, "p2prc info " + name + "; p2prc logs " + name));
    }
}

void domain_problems(const Json& domains, Json& problems) {
    for (const Json& domain : domains) {
        if (json::member<std::string>(domain, "state") == "live") continue;
        problems.push_back(problem("domain '" + json::member<std::string>(domain, "domain") + "' is " +
                                       json::member<std::string>(domain, "state") + ": " +
                                       json::member<std::string>(domain, "reason"),
                                   "p2prc doctor says more"));
    }
}

// What a node has without a record, as the registry could not take it in.
void offer_problems(const View& view, Json& problems) {
    for (const auto& [key, offer] : view.replica().range("/offers/")) {
        const auto process = offered_process(*offer);
        const auto refused = json::member<std::string>(*offer, "refused");
        if (!process || refused.empty()) continue;
        const auto id = std::to_string(process->id);
        problems.push_back(
            problem("process " + id + " ('" + process->name + "') of node '" + process->node +
                        "' is not known to the fleet's registry, which was restored from an older "
                        "copy: " +
                        refused,
                    "it comes back by itself when that is out of its way; to end it: p2prc kill " + id));
    }
}

} // namespace

Json status_document(const View& view, bool is_root, const Gateway& gateway) {
    const Json processes = process_documents(view);
    const Json nodes = node_documents(view);
    const Json domains = domain_documents(view);
    const auto fleet = view.fleet();
    Json problems = Json::array();
    const bool reachable = gateway.reachable();
    if (!reachable) {
        const auto away = gateway.away();
        problems.push_back(problem(away.message, away.hint));
    }
    for (const auto& notice : gateway.notices())
        problems.push_back(problem(notice.message, notice.hint));
    for (const Json& node : nodes)
        if (json::member<std::string>(node, "state") == "lost")
            problems.push_back(problem("node '" + json::member<std::string>(node, "name") + "' is lost",
                                       "start it, or remove it: p2prc nodes rm"));
    process_problems(processes, problems);
    domain_problems(domains, problems);
    offer_problems(view, problems);
    Json about_fleet = Json::object();
    if (fleet)
        about_fleet = {{"zone", fleet->zone},
                       {"root", fleet->root},
                       {"public_ips", fleet->public_ips},
                       {"acme", fleet->acme}};
    return {{"version", P2PRC_VERSION},
            {"node", view.node()},
            {"root", is_root},
            {"reachable", reachable},
            {"fleet", about_fleet},
            {"nodes", count_by_state(nodes)},
            {"processes", count_by_state(processes)},
            {"domains", count_by_state(domains)},
            {"problems", problems}};
}

Json facts_document(const View& view, bool is_root, const Gateway& gateway, const HelperReports& reports) {
    Json facts = status_document(view, is_root, gateway);
    if (!gateway.reachable()) {
        const auto away = gateway.away();
        facts["link_error"] = away.message;
        facts["link_hint"] = away.hint;
    }
    facts["edge"] = reports.edge;
    facts["connector"] = reports.connector;
    facts["routes"] = {{"revision", reports.routes_revision}, {"left_out", reports.routes_left_out}};
    const auto self = view.node_record(view.node());
    facts["edge_registered"] = self && !self->edge_key.empty();
    facts["connector_registered"] = self && !self->connector_key.empty();
    facts["revision"] = view.replica().revision();
    Json certificates = Json::array();
    for (const auto& [key, document] : view.own().range("/certificates/" + view.node() + "/"))
        certificates.push_back(*document);
    facts["certificates"] = certificates;
    facts["mapped"] = domain_documents(view);
    return facts;
}

} // namespace p2prc::daemon
