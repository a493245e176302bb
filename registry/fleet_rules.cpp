// Making the fleet, and giving it a zone and a root.
#include "core/gate.h"
#include "core/ip_text.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "registry/invitations.h"
#include "registry/owned_keys.h"
#include "registry/rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace p2prc::registry::rules {
namespace {

struct Wanted {
    std::string name;
    std::string key;
    std::string zone;
    std::optional<std::vector<std::string>> public_ips;
    std::optional<std::string> acme;
    std::optional<std::string> web_ca;
};

Result<void> check_address(const std::string& address) {
    if (ip_family(address)) return {};
    return fail(ErrorCode::InvalidSpec,
                fmt::format("public address '{}' is not an IP address", text::excerpt(address, 60)),
                "give an IPv4 or IPv6 address, such as 203.0.113.1");
}

Result<void> check_acme(const std::string& acme) {
    if (is_acme_source(acme)) return {};
    return fail(ErrorCode::InvalidSpec,
                fmt::format("'{}' is not the URL of an ACME directory", text::excerpt(acme)),
                "give an https URL, letsencrypt, or none for the fleet's own certificate authority");
}

Result<Wanted> read_wanted(const Request& request) {
    Wanted wanted;
    for (const auto& [key, target] :
         {std::pair{"name", &wanted.name}, {"key", &wanted.key}, {"zone", &wanted.zone}}) {
        auto text = optional_text(request, key);
        if (!text) return std::unexpected(text.error());
        *target = *text;
    }
    if (!wanted.name.empty())
        if (auto named = check_node_name(wanted.name); !named) return std::unexpected(named.error());
    if (!wanted.key.empty() && !is_fingerprint(wanted.key))
        return fail(ErrorCode::InvalidSpec, "'key' is not a key's fingerprint");
    if (!wanted.zone.empty()) {
        auto zone = normalize_domain(wanted.zone);
        if (!zone) return std::unexpected(zone.error());
        if (zone->starts_with("*"))
            return fail(ErrorCode::InvalidSpec, fmt::format("zone '{}' is a wildcard", *zone),
                        "give the domain itself");
        wanted.zone = *zone;
    }
    if (request.params.contains("public_ips") && !request.params["public_ips"].is_null()) {
        wanted.public_ips = json::member<std::vector<std::string>>(request.params, "public_ips");
        for (const auto& address : *wanted.public_ips)
            if (auto good = check_address(address); !good) return std::unexpected(good.error());
    }
    wanted.acme = json::optional_member<std::string>(request.params, "acme");
    if (wanted.acme)
        if (auto good = check_acme(*wanted.acme); !good) return std::unexpected(good.error());
    wanted.web_ca = json::optional_member<std::string>(request.params, "web_ca");
    return wanted;
}

// Every record that carries the node's name; what the node owns is uploaded anew under the new one.
void rename_node(Draft& draft, NodeRecord& node, const std::string& name) {
    const auto before = node.name;
    rename_all_of(draft, before, name);
    node.name = name;
}

// The record of this node: by the name that it goes by, or the only one there is.
std::optional<NodeRecord> own_record(const Request& request, const std::vector<NodeRecord>& nodes) {
    if (auto self = request.draft.node(request.actor.node)) return self;
    if (nodes.size() == 1) return nodes.front();
    return std::nullopt;
}

Result<void> change_self(Request& request, FleetRecord& fleet, NodeRecord& self, const Wanted& wanted,
                         bool alone) {
    if (!wanted.name.empty() && wanted.name != self.name) {
        if (!alone)
            return fail(
                ErrorCode::Conflict,
                fmt::format("this node is known as '{}' to the other members of the fleet", self.name),
                "omit --name");
        if (fleet.root == self.name) fleet.root = wanted.name;
        rename_node(request.draft, self, wanted.name);
    }
    if (!wanted.key.empty() && wanted.key != self.key) {
        if (!alone && !self.key.empty())
            return fail(ErrorCode::Conflict,
                        fmt::format("node '{}' has another key in this fleet", self.name),
                        "put the key of that node back in its state directory, or begin a new fleet");
        self.key = wanted.key;
    }
    return {};
}

// A zone may have been mistyped: it can be another one while nobody else has been told of it.
Result<void> leave_zone(Request& request, const std::string& zone, const std::vector<NodeRecord>& nodes) {
    const auto refuse = [&](const std::string& why, const std::string& way_out) {
        return fail(ErrorCode::Conflict, fmt::format("this fleet's zone is '{}' already, and {}", zone, why),
                    way_out);
    };
    if (nodes.size() > 1) {
        std::vector<std::string> others;
        for (const auto& node : nodes)
            if (node.name != request.actor.node) others.push_back(node.name);
        return refuse(fmt::format("has other members: {}", fmt::join(others, ", ")),
                      "let them leave (p2prc leave), or remove them (p2prc nodes rm NAME), then give another "
                      "zone; names of other zones are mapped with p2prc map-domain --tls passthrough");
    }
    for (const auto& mapping : request.draft.domains())
        if (in_zone(mapping.domain, zone))
            return refuse(fmt::format("domain '{}' is mapped in it", mapping.domain),
                          fmt::format("give that up first: p2prc unmap-domain {}, and the others that p2prc "
                                      "domains lists",
                                      mapping.domain));
    // Their tokens name the former zone.
    for (const auto& invitation : all_invitations(request.draft))
        erase_invitation(request.draft, invitation.id);
    return {};
}

} // namespace

Result<Json> init(Request& request) {
    auto wanted = read_wanted(request);
    if (!wanted) return std::unexpected(wanted.error());
    const auto nodes = request.draft.nodes();
    auto fleet = request.draft.fleet();
    NodeRecord self;
    if (!fleet) {
        auto id = random_hex(16);
        if (!id) return std::unexpected(id.error());
        fleet.emplace();
        fleet->id = *id;
        self.name = wanted->name.empty() ? request.actor.node : wanted->name;
        if (auto named = check_node_name(self.name); !named) return std::unexpected(named.error());
        self.key = wanted->key;
        self.role = Role::Owner;
        self.joined_at = request.at();
    } else {
        const auto found = own_record(request, nodes);
        if (!found)
            return fail(ErrorCode::Conflict,
                        fmt::format("node '{}' is not a member of the fleet kept here", request.actor.node),
                        "give the name that it had with --name");
        self = *found;
        if (auto done = change_self(request, *fleet, self, *wanted, nodes.size() == 1); !done)
            return std::unexpected(done.error());
    }
    if (!wanted->zone.empty() && !fleet->zone.empty() && wanted->zone != fleet->zone)
        if (auto done = leave_zone(request, fleet->zone, nodes); !done) return std::unexpected(done.error());
    if (!wanted->zone.empty()) fleet->zone = wanted->zone;
    if (wanted->public_ips) fleet->public_ips = *wanted->public_ips;
    if (wanted->acme) fleet->acme = *wanted->acme;
    if (wanted->web_ca) fleet->web_ca = *wanted->web_ca;
    if (!fleet->zone.empty() && !fleet->public_ips.empty() && fleet->root.empty()) fleet->root = self.name;
    // What homes would refuse is not accepted. What stands there of an earlier version keeps no root from
    // starting: it says its name and key each time.
    if (!wanted->zone.empty() || wanted->public_ips || wanted->acme || wanted->web_ca)
        if (auto good = accept_fleet(keys::fleet, to_json(*fleet)); !good)
            return std::unexpected(good.error());
    request.draft.put(self);
    request.draft.put(*fleet);
    return to_json(*fleet);
}

Result<Json> export_fleet(Request& request) {
    std::vector<std::string> others;
    for (const auto& node : request.draft.nodes())
        if (node.name != request.actor.node) others.push_back(node.name);
    if (!others.empty())
        return fail(ErrorCode::Conflict,
                    fmt::format("this node keeps a fleet with other members: {}", fmt::join(others, ", ")),
                    "invite from here instead, or remove them first: p2prc nodes rm NAME");
    auto processes = Json::array();
    for (const auto& process : request.draft.processes())
        processes.push_back(to_json(process));
    auto domains = Json::array();
    for (const auto& domain : request.draft.domains())
        domains.push_back(to_json(domain));
    return Json{{"processes", processes}, {"domains", domains}};
}

} // namespace p2prc::registry::rules
