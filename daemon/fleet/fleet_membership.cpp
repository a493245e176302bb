// Making a fleet, inviting and joining.
#include "core/json_members.h"
#include "core/name_servers.h"
#include "core/names.h"
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/node_info.h"
#include "daemon/fleet/ports.h"
#include "daemon/fleet/root_addresses.h"
#include "link/join.h"
#include "link/token.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto link_wait = 20s;

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

Error busy() {
    return {ErrorCode::Conflict, "this machine is joining or leaving a fleet right now",
            "try again in a moment"};
}

std::string text_of(const Json& document, const char* key) {
    const auto it = document.find(key);
    return it != document.end() && it->is_string() ? it->get<std::string>() : std::string();
}

asio::awaitable<Result<Json>> Fleet::Impl::init(Json wanted, std::string by) {
    const auto self = shared_from_this();
    if (changing) co_return std::unexpected(busy());
    if (no_registry) co_return std::unexpected(*no_registry);
    if (!registry)
        co_return fail(ErrorCode::Conflict, "this node is a member of the fleet of " + settings.root->zone,
                       "leave it first: p2prc leave");
    const Changing guard(changing);
    auto name = text_of(wanted, "name");
    if (name.empty()) name = settings.name;
    if (const auto checked = check_node_name(name); !checked) co_return std::unexpected(checked.error());
    const auto before = fleet_record();
    auto zone = text_of(wanted, "domain");
    // Other addresses of the zone that there is.
    const auto given = wanted.find("public_ips");
    if (zone.empty() && given != wanted.end() && given->is_array() && !given->empty()) {
        if (!before || before->zone.empty())
            co_return fail(ErrorCode::InvalidSpec, "a public address needs a zone, and there is none",
                           "give both: p2prc init --domain ZONE --public-ip IP");
        zone = before->zone;
    }
    Json params{{"name", name}, {"key", identity->fingerprint()}, {"by", by}};
    const bool with_zone = !zone.empty();
    if (with_zone) {
        const auto normal = normalize_domain(zone);
        if (!normal) co_return std::unexpected(normal.error());
        zone = *normal;
        const auto addresses = public_addresses(wanted);
        if (!addresses) co_return std::unexpected(addresses.error());
        params["zone"] = zone;
        params["public_ips"] = *addresses;
        if (options.units) {
            const auto installed = co_await options.units->installed("p2prc-edge.service");
            if (!installed) co_return std::unexpected(installed.error());
            if (!*installed)
                co_return fail(ErrorCode::NotFound,
                               "a root node needs the edge, and it is not installed here",
                               "install the package p2prc-edge, then run p2prc init again");
            if (const auto free = co_await check_ports(); !free) co_return std::unexpected(free.error());
        }
    }
    auto acme = text_of(wanted, "acme");
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
        if (const auto moved = WebCa::set_aside(ca_directory()); !moved)
            co_return std::unexpected(moved.error());
    }
    if (acme == "none" && !ca_zone.empty()) {
        const auto made = WebCa::load_or_create(ca_directory(), ca_zone);
        if (!made) co_return std::unexpected(made.error());
        params["web_ca"] = made->certificate_pem();
        ca->set(*made);
    }
    auto done = co_await registry->request("fleet.init", std::move(params));
    if (!done) co_return std::unexpected(done.error());
    auto fleet = fleet_from_json(*done);
    if (!fleet) co_return std::unexpected(fleet.error());
    if (name != settings.name) {
        registry->act_as(name, Role::Owner);
        rename(name);
        if (const auto saved = save_settings(settings_file(), settings); !saved)
            co_return std::unexpected(saved.error());
        Json live{{"node", name}, {"state", "up"}};
        co_await registry->request("node.live", std::move(live));
    }
    Json result{{"name", name},        {"domain", fleet->zone}, {"public_ips", fleet->public_ips},
                {"acme", fleet->acme}, {"edge", false},         {"records", Json::array()}};
    if (!fleet->zone.empty()) result["records"] = registrar_records(*fleet);
    if (with_zone && options.units) {
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
    if (!options.units || roles.kept()) return;
    std::vector<MachineRole> on;
    const auto fleet = fleet_record();
    const bool public_root = !settings.root && fleet && !fleet->zone.empty();
    if (public_root) on.push_back(MachineRole::Edge);
    if (public_root || settings.root) on.push_back(MachineRole::Connector);
    if (const auto kept = roles.keep(on); !kept) {
        net::log_error("the roles of this machine cannot be kept: " + kept.error().message);
        return;
    }
    // At this boot systemd may have looked for the files before they were there. Not waited for: the units
    // come after p2prcd.
    asio::co_spawn(executor, start_units(shared_from_this(), std::move(on)),
                   net::ReportFailure("starting the units of this machine's roles"));
}

asio::awaitable<void> Fleet::Impl::start_units(std::shared_ptr<Impl> /* keeps it alive */,
                                               std::vector<MachineRole> of) {
    for (const auto role : of)
        if (const auto up = co_await roles.turn_on(role); !up) net::log_warning(up.error().message);
}

// The edge's own sockets are no obstacle to it.
asio::awaitable<Result<void>> Fleet::Impl::check_ports() const {
    if (co_await options.units->active("p2prc-edge.socket")) co_return Result<void>();
    const auto listeners = net::tcp_listeners();
    if (!listeners) {
        net::log_warning("it is not known who holds the edge's ports: " + listeners.error().message);
        co_return Result<void>();
    }
    co_return check_edge_ports(*listeners, listener_name);
}

asio::awaitable<Result<Json>> Fleet::Impl::invite(std::string role, std::uint64_t seconds, std::string by) {
    const auto self = shared_from_this();
    const auto fleet = fleet_record();
    Json params{{"role", role}, {"expires_seconds", seconds}, {"by", by}};
    const auto made = co_await gateway.request("fleet.invite", std::move(params));
    if (!made) co_return std::unexpected(made.error());
    link::JoinToken token;
    if (fleet) {
        token.zone = fleet->zone;
        for (const auto& text : fleet->public_ips)
            if (const auto address = net::Address::parse(text))
                token.addresses.push_back({*address, options.root_port});
    }
    // Machines in the root's own network may not reach its public address from inside (a router without NAT
    // loopback): the key says who it is, wherever it is found.
    if (!settings.root)
        for (const auto& address : private_addresses(own_addresses()))
            if (token.addresses.size() < most_root_addresses)
                token.addresses.push_back({address, options.root_port});
    token.root_key = settings.root ? settings.root->key : identity->fingerprint();
    token.id = text_of(*made, "id");
    const auto secret = from_hex(text_of(*made, "secret"));
    if (!secret || secret->size() != token.secret.size())
        co_return fail(ErrorCode::Failed, "the registry made an invitation without a secret");
    std::ranges::copy(*secret, token.secret.begin());
    token.expires = made->value("expires", std::int64_t{0});
    const auto text = link::encode_token(token);
    if (!text) co_return std::unexpected(text.error());
    const auto expires = std::chrono::system_clock::time_point(std::chrono::seconds(token.expires));
    co_return Json{{"token", *text}, {"expires", net::to_rfc3339(expires)}};
}

asio::awaitable<Result<Json>> Fleet::Impl::join(std::string text, std::string name) {
    const auto self = shared_from_this();
    const auto token = link::decode_token(text);
    if (!token) co_return std::unexpected(token.error());
    if (changing) co_return std::unexpected(busy());
    if (no_registry) co_return std::unexpected(*no_registry);
    if (token->root_key == identity->fingerprint())
        co_return fail(ErrorCode::Conflict, "this is the root of that fleet",
                       "use the token on another machine");
    if (!registry && settings.root->key != token->root_key)
        co_return fail(ErrorCode::Conflict, "this node is a member of the fleet of " + settings.root->zone,
                       "leave it first: p2prc leave");
    const Changing guard(changing);
    if (name.empty()) name = settings.name;
    if (const auto checked = check_node_name(name); !checked) co_return std::unexpected(checked.error());
    if (!registry && name != settings.name)
        co_return fail(ErrorCode::Conflict, "this node is in that fleet already, as '" + settings.name + "'",
                       "to have another name, leave it (p2prc leave) and join again");

    Json result{{"name", settings.name}, {"domain", token->zone}};
    if (registry) {
        const Changing between(moving);
        Json none = Json::object();
        auto params = co_await registry->request("fleet.export", std::move(none));
        if (!params) co_return std::unexpected(params.error());
        (*params)["name"] = name;
        if (const auto record = replica.get(keys::node(settings.name)))
            (*params)["connector_key"] = text_of(*record, "connector_key");
        const auto admitted = co_await link::redeem(executor, *token, *identity, std::move(*params));
        if (!admitted) co_return std::unexpected(admitted.error());

        // From here on we are a member, whatever else goes wrong: the registry there has our processes.
        FleetSettings joined{text_of(*admitted, "name"),
                             RootReference{token->root_key, token->zone, token->addresses}};
        // The root may not choose what could not be read again.
        if (!check_node_name(joined.name)) joined.name = name;
        if (const auto saved = save_settings(settings_file(), joined); !saved)
            co_return std::unexpected(saved.error());
        co_await stop_registry();
        if (const auto removed = remove_registry(); !removed) net::log_warning(removed.error().message);
        settings.root = joined.root;
        rename(joined.name);
        // Of a tunnel in a fleet before, nothing is kept.
        const auto now = net::now_rfc3339();
        own.set(keys::tunnel(settings.name), {{"up", false}, {"since", now}, {"connecting", now}});
        net::log_notice("joined the fleet of " + token->zone + " as " + settings.name);
        start_link();
        result["name"] = settings.name;
        // It was the root of a fleet of its own: a member has no edge.
        if (roles.on(MachineRole::Edge)) {
            const auto off = co_await roles.turn_off(MachineRole::Edge);
            if (!off) net::log_warning("the edge cannot be turned off: " + off.error().message);
        }
    } else {
        // The root may have moved: the token says where it is now.
        auto& known = settings.root->addresses;
        auto addresses = token->addresses;
        for (const auto& endpoint : known)
            if (std::ranges::find(addresses, endpoint) == addresses.end()) addresses.push_back(endpoint);
        if (addresses.size() > most_root_addresses) addresses.resize(most_root_addresses);
        known = std::move(addresses);
        if (const auto saved = save_settings(settings_file(), settings); !saved)
            co_return std::unexpected(saved.error());
        link->network_changed();
    }
    // Also when the link takes longer than anybody waits for here.
    const auto connected = co_await roles.turn_on(MachineRole::Connector);
    const auto up = co_await link->wait_up(link_wait);
    if (!up && up.error().code == ErrorCode::NotPermitted) co_return std::unexpected(up.error());
    if (!up)
        co_return fail(up.error().code, "this node has joined, but its link is not up: " + up.error().message,
                       "it keeps trying; see p2prc status");
    refresh_info();
    if (!connected)
        co_return fail(connected.error().code,
                       "this node has joined, but no domain reaches it: " + connected.error().message,
                       connected.error().hint + "; then run p2prc join again");
    if (const auto fleet = fleet_record()) result["root"] = fleet->root;
    co_return result;
}

} // namespace p2prc::daemon
