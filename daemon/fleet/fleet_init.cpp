// Making a fleet, and inviting to it.
#include "core/json_members.h"
#include "core/name_servers.h"
#include "core/names.h"
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/node_info.h"
#include "daemon/fleet/ports.h"
#include "daemon/fleet/root_addresses.h"
#include "link/token.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// The addresses that were given, or those of this machine that are reachable from everywhere.
Result<std::vector<std::string>> public_addresses(const Json& options) {
    std::vector<std::string> addresses;
    const auto given = options.find("public_ips");
    if (given != options.end() && given->is_array()) {
        for (const auto& item : *given) {
            const auto address = net::Address::parse(item.is_string() ? item.get<std::string>() : "");
            if (!address) return std::unexpected(address.error());
            addresses.push_back(address->text());
        }
    }
    if (!addresses.empty()) return addresses;
    const auto temporary = temporary_addresses();
    for (const auto& address : own_addresses())
        if (address.is_global() && std::ranges::find(temporary, address) == temporary.end())
            addresses.push_back(address.text());
    if (addresses.empty())
        return fail(ErrorCode::InvalidSpec, "this machine has no public address that p2prc can see",
                    "give the address at which it can be reached: --public-ip IP");
    return addresses;
}

// What the owner of the zone sets at the registrar: delegation and glue.
Json registrar_records(const FleetRecord& fleet) {
    auto records = Json::array();
    const auto servers = name_servers(fleet.zone, fleet.public_ips);
    for (const auto& server : servers)
        records.push_back({{"name", fleet.zone}, {"type", "NS"}, {"data", server.name}});
    for (const auto& server : servers) {
        if (!server.ipv4.empty())
            records.push_back({{"name", server.name}, {"type", "A"}, {"data", server.ipv4}});
        if (!server.ipv6.empty())
            records.push_back({{"name", server.name}, {"type", "AAAA"}, {"data", server.ipv6}});
    }
    return records;
}

} // namespace

asio::awaitable<Result<Json>> Fleet::Impl::init(Json wanted, std::string by) {
    const auto self = shared_from_this();
    if (const auto begun = begin(RoleEvent::Init); !begun) co_return std::unexpected(begun.error());
    const RoleChangeEnd end(role_change, RoleEvent::RegistryKept);
    const auto registry = root->registry();
    auto name = json::member<std::string>(wanted, "name");
    if (name.empty()) name = node->name();
    if (const auto checked = check_node_name(name); !checked) co_return std::unexpected(checked.error());
    const auto before = node->fleet_record();
    auto zone = json::member<std::string>(wanted, "domain");
    // Addresses alone are other ones of the present zone.
    const auto given = wanted.find("public_ips");
    if (zone.empty() && given != wanted.end() && given->is_array() && !given->empty()) {
        if (!before || before->zone.empty())
            co_return fail(ErrorCode::InvalidSpec, "a public address needs a zone, and this fleet has none",
                           "give both: p2prc init --domain ZONE --public-ip IP");
        zone = before->zone;
    }
    Json params{{"name", name}, {"key", node->key()}, {"by", by}};
    const bool with_zone = !zone.empty();
    if (with_zone) {
        const auto normal = normalize_domain(zone);
        if (!normal) co_return std::unexpected(normal.error());
        zone = *normal;
        const auto addresses = public_addresses(wanted);
        if (!addresses) co_return std::unexpected(addresses.error());
        params["zone"] = zone;
        params["public_ips"] = *addresses;
        if (node->options.units) {
            const auto installed = co_await node->options.units->installed("p2prc-edge.service");
            if (!installed) co_return std::unexpected(installed.error());
            if (!*installed)
                co_return fail(ErrorCode::NotFound,
                               "a root node needs the edge, and it is not installed here",
                               "install the package p2prc-edge, then run p2prc init again");
            if (const auto free = co_await check_ports(); !free) co_return std::unexpected(free.error());
        }
    }
    auto acme = json::member<std::string>(wanted, "acme");
    if (!acme.empty()) params["acme"] = acme;
    if (acme.empty()) acme = before ? before->acme : "none";
    const auto ca_zone = with_zone ? zone : before ? before->zone : std::string();
    if (before && !before->zone.empty() && before->zone != ca_zone) {
        // The registry says whether the zone can still be another one. If so, the authority of the former one
        // has nothing that it could sign.
        Json first = params;
        if (acme == "none") first["web_ca"] = "";
        const auto agreed = co_await registry->request("fleet.init", std::move(first));
        if (!agreed) co_return std::unexpected(agreed.error());
        if (const auto moved = WebCa::set_aside(node->ca_directory()); !moved)
            co_return std::unexpected(moved.error());
    }
    if (acme == "none" && !ca_zone.empty()) {
        const auto made = WebCa::load_or_create(node->ca_directory(), ca_zone);
        if (!made) co_return std::unexpected(made.error());
        params["web_ca"] = made->certificate_pem();
        node->ca->set(*made);
    }
    auto done = co_await registry->request("fleet.init", std::move(params));
    if (!done) co_return std::unexpected(done.error());
    auto fleet = fleet_from_json(*done);
    if (!fleet) co_return std::unexpected(fleet.error());
    if (name != node->name()) {
        registry->act_as(name, Role::Owner);
        rename(name);
        if (const auto saved = node->save_settings(node->settings); !saved)
            co_return std::unexpected(saved.error());
        Json live{{"node", name}, {"state", "up"}};
        co_await registry->request("node.live", std::move(live));
    }
    Json result{{"name", name},        {"domain", fleet->zone}, {"public_ips", fleet->public_ips},
                {"acme", fleet->acme}, {"edge", false},         {"records", Json::array()}};
    if (!fleet->zone.empty()) result["records"] = registrar_records(*fleet);
    if (with_zone && node->options.units) {
        auto up = co_await turn_on_edge();
        if (up) up = co_await roles.turn_on(MachineRole::Connector);
        if (!up) {
            auto error = up.error();
            error.message = "the edge is not up: " + error.message;
            error.hint += "; then run p2prc init again";
            co_return std::unexpected(error);
        }
        result["edge"] = true;
    }
    if (fleet->acme == "none" && !fleet->zone.empty())
        result["hint"] = "browsers warn until they trust the fleet's own CA (p2prc fleet ca); for "
                         "certificates that all browsers "
                         "trust: p2prc init --acme letsencrypt";
    refresh_info();
    co_return result;
}

asio::awaitable<Result<void>> Fleet::Impl::turn_on_edge() const {
    auto up = co_await roles.turn_on(MachineRole::Edge);
    if (up) co_return up;
    // At the next boot it would take the ports from whoever has them now.
    const auto off = co_await roles.turn_off(MachineRole::Edge);
    if (!off) net::log_warning("the edge cannot be turned off: " + off.error().message);
    co_return up;
}

// The first start of a p2prcd that keeps roles: before, they were links below /etc. Later it is known what
// was turned on and what was not.
void Fleet::Impl::keep_roles() {
    if (!node->options.units || roles.kept()) return;
    std::vector<MachineRole> on;
    const auto fleet = node->fleet_record();
    const bool public_root = !node->settings.root && fleet && !fleet->zone.empty();
    if (public_root) on.push_back(MachineRole::Edge);
    if (public_root || node->settings.root) on.push_back(MachineRole::Connector);
    if (const auto kept = roles.keep(on); !kept) {
        net::log_error("the roles of this machine cannot be kept: " + kept.error().message);
        return;
    }
    // At this boot systemd may have looked for the files before they were there. Not waited for: the units
    // come after p2prcd.
    asio::co_spawn(node->executor, start_units(shared_from_this(), std::move(on)),
                   net::ReportFailure("starting the units of this machine's roles"));
}

asio::awaitable<void> Fleet::Impl::start_units(std::shared_ptr<Impl> /* keeps it alive */,
                                               std::vector<MachineRole> of) {
    for (const auto role : of)
        if (const auto up = co_await roles.turn_on(role); !up) net::log_warning(up.error().message);
}

// The edge's own sockets are no obstacle to it.
asio::awaitable<Result<void>> Fleet::Impl::check_ports() const {
    if (co_await node->options.units->active("p2prc-edge.socket")) co_return Result<void>();
    const auto listeners = net::tcp_listeners();
    if (!listeners) {
        net::log_warning("it is not known who holds the edge's ports: " + listeners.error().message);
        co_return Result<void>();
    }
    co_return check_edge_ports(*listeners, listener_name);
}

asio::awaitable<Result<Json>> Fleet::Impl::invite(std::string role, std::uint64_t seconds, std::string by) {
    const auto self = shared_from_this();
    const auto fleet = node->fleet_record();
    Json params{{"role", role}, {"expires_seconds", seconds}, {"by", by}};
    const auto made = co_await gateway.request("fleet.invite", std::move(params));
    if (!made) co_return std::unexpected(made.error());
    link::JoinToken token;
    if (fleet) {
        token.zone = fleet->zone;
        for (const auto& text : fleet->public_ips)
            if (const auto address = net::Address::parse(text))
                token.addresses.push_back({*address, node->options.root_port});
    }
    // Machines in the root's own network may not reach its public address from inside (a router without NAT
    // loopback): the key says who it is, wherever it is found.
    if (!node->settings.root)
        for (const auto& address : private_addresses(own_addresses()))
            if (token.addresses.size() < most_root_addresses)
                token.addresses.push_back({address, node->options.root_port});
    token.root_key = node->settings.root ? node->settings.root->key : node->key();
    token.id = json::member<std::string>(*made, "id");
    const auto secret = from_hex(json::member<std::string>(*made, "secret"));
    if (!secret || secret->size() != token.secret.size())
        co_return fail(ErrorCode::Failed, "the registry made an invitation without a secret");
    std::ranges::copy(*secret, token.secret.begin());
    token.expires = made->value("expires", std::int64_t{0});
    const auto text = link::encode_token(token);
    if (!text) co_return std::unexpected(text.error());
    const auto expires = std::chrono::system_clock::time_point(std::chrono::seconds(token.expires));
    co_return Json{{"token", *text}, {"expires", net::to_rfc3339(expires)}};
}

} // namespace p2prc::daemon
