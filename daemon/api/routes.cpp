#include "daemon/api/routes.h"

#include "core/gate.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/zone_records.h"

#include <algorithm>
#include <set>

namespace p2prc::daemon {

namespace {

constexpr std::uint32_t challenge_ttl = 30;
// With names of any length these stay below dbus::answer_limits.
constexpr std::size_t most_routes = 50'000, most_records = 10'000;

std::string socket_address(const std::string& ip, unsigned port) {
    const bool v6 = ip.find(':') != std::string::npos;
    return (v6 ? "[" + ip + "]" : ip) + ":" + std::to_string(port);
}

std::vector<ZoneRecord> challenges(const View& view, const std::string& zone) {
    std::vector<ZoneRecord> records;
    for (const auto& [key, document] : view.replica().range(keys::challenges)) {
        const auto challenge = accept_challenge(key, *document);
        if (!challenge || !in_zone(challenge->domain, zone)) continue;
        const auto name = challenge_name(challenge->domain);
        if (!name) continue;
        // RFC 1035 section 5.1: one character string, quoted; a digest has nothing to escape.
        records.push_back({*name, "TXT", challenge_ttl, "\"" + challenge->value + "\""});
    }
    return records;
}

Route route_of(const View& view, const DomainRecord& domain) {
    const auto* node = view.node_record(domain.node);
    Route route;
    route.domain = domain.domain;
    route.node_key = node ? node->connector_key : "";
    route.mapping_id = domain.mapping_id;
    route.tls = domain.tls;
    return route;
}

// The edge answers DNS at addresses of this machine: public ones, or private ones behind a 1:1 NAT.
Json own_name_servers(const View& view, const FleetRecord& fleet) {
    std::set<std::string> addresses(fleet.public_ips.begin(), fleet.public_ips.end());
    if (const auto info = view.get(keys::node_info(view.node()))) {
        for (const auto& text : json::member<std::vector<std::string>>(*info, "private_addresses"))
            addresses.insert(text);
        for (const char* family : {"ipv4", "ipv6"})
            if (auto text = json::member<std::string>(*info, family); !text.empty())
                addresses.insert(std::move(text));
    }
    return addresses;
}

Json to_document(const ZoneRecord& record) {
    return {{"name", record.name}, {"type", record.type}, {"ttl", record.ttl}, {"data", record.data}};
}

} // namespace

RouteTable route_table(const View& view) {
    RouteTable table;
    table.revision = view.replica().revision();
    std::set<std::string> keys;
    for (const NodeRecord& node : view.nodes())
        if (!node.connector_key.empty()) keys.insert(node.connector_key);
    table.connector_keys.assign(keys.begin(), keys.end());
    for (const DomainRecord& domain : view.domains())
        table.routes.push_back(route_of(view, domain));
    const auto* fleet = view.fleet();
    if (fleet && !fleet->zone.empty()) {
        Zone zone;
        zone.name = fleet->zone;
        zone.addresses = fleet->public_ips;
        zone.records = challenges(view, zone.name);
        table.zones.push_back(std::move(zone));
    }
    return table;
}

bool update_route(RouteTable& table, const View& view, const std::string& domain) {
    const auto* record = view.domain(domain);
    const auto at = std::ranges::lower_bound(table.routes, domain, {}, &Route::domain);
    const bool there = at != table.routes.end() && at->domain == domain;
    if (!record) {
        if (there) table.routes.erase(at);
        return there;
    }
    auto route = route_of(view, *record);
    if (there && *at == route) return false;
    if (there)
        *at = std::move(route);
    else
        table.routes.insert(at, std::move(route));
    return true;
}

std::size_t cut_to_fit(RouteTable& table) {
    std::size_t left_out = 0;
    const auto cut = [&](auto& list, std::size_t most) {
        if (list.size() <= most) return;
        left_out += list.size() - most;
        list.resize(most);
    };
    cut(table.routes, most_routes);
    for (Zone& zone : table.zones)
        cut(zone.records, most_records);
    return left_out;
}

Json connector_document(const View& view, const Json& mappings) {
    const std::string self = view.node();
    Json edges = Json::array();
    const auto* fleet = view.fleet();
    if (fleet && !fleet->root.empty()) {
        const auto* root = view.node_record(fleet->root);
        const std::string key = root ? root->edge_key : "";
        // The root's own connector goes over the loopback: the public address may be its router's (1:1 NAT).
        std::vector<std::string> addresses = fleet->public_ips;
        if (fleet->root == self) addresses = {"127.0.0.1"};
        // A member in the root's own network has found it there, and not at a public address, which it tries
        // first (daemon/fleet/root_addresses.h).
        const auto info = view.get(keys::node_info(self));
        const auto reached = info ? json::member<std::string>(*info, "root_address") : std::string();
        if (!reached.empty() && fleet->root != self) addresses = {reached};
        if (!key.empty())
            for (const std::string& ip : addresses)
                edges.push_back({{"address", socket_address(ip, 443)}, {"key", key}});
    }
    Json document{{"edges", edges},
                  {"acme", fleet ? fleet->acme : "none"},
                  {"zone", fleet ? fleet->zone : ""},
                  {"mappings", mappings}};
    if (fleet && fleet->root == self) document["name_servers"] = own_name_servers(view, *fleet);
    return document;
}

Json zone_documents(const View& view) {
    Json zones = Json::array();
    for (const Zone& zone : route_table(view).zones) {
        std::uint64_t names = 0;
        for (const DomainRecord& domain : view.domains())
            names += in_zone(domain.domain, zone.name) ? 1 : 0;
        zones.push_back({{"name", zone.name}, {"addresses", zone.addresses}, {"names", names}});
    }
    return zones;
}

Result<Json> record_documents(const View& view, const std::string& given, const Json& edge_report) {
    const RouteTable table = route_table(view);
    if (table.zones.empty()) {
        const auto* fleet = view.fleet();
        if (!fleet || fleet->root.empty())
            return fail(ErrorCode::NotFound, "this machine is in no fleet",
                        "p2prc init --domain ZONE --public-ip IP creates one; p2prc join TOKEN joins one");
        return fail(ErrorCode::NotFound, "this fleet has no zone",
                    "p2prc init --domain ZONE, on the root, gives it one");
    }
    std::string zone_name;
    if (!given.empty()) {
        auto normal = normalize_domain(given);
        if (!normal) return std::unexpected(normal.error());
        zone_name = std::move(*normal);
    }
    for (const Zone& zone : table.zones) {
        if (!zone_name.empty() && zone.name != zone_name) continue;
        std::vector<std::string> mapped;
        for (const Route& route : table.routes)
            if (in_zone(route.domain, zone.name)) mapped.push_back(route.domain);
        const auto serials = edge_report.find("serials");
        const std::uint32_t serial =
            serials == edge_report.end() ? 0 : json::member<std::uint32_t>(*serials, zone.name);
        Json records = Json::array();
        for (const ZoneRecord& record : zone_records(zone, mapped, serial))
            records.push_back(to_document(record));
        return records;
    }
    std::string zones;
    for (const Zone& zone : table.zones)
        zones += (zones.empty() ? "" : ", ") + zone.name;
    return fail(ErrorCode::NotFound, "this fleet does not answer for '" + zone_name + "'",
                "it answers for " + zones);
}

} // namespace p2prc::daemon
