// What this node measures of itself, and where it finds its root.
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/node_checks.h"
#include "daemon/fleet/node_info.h"
#include "daemon/fleet/root_addresses.h"
#include "net/resolve.h"

#include <algorithm>
#include <cmath>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr auto check_interval = std::chrono::seconds(30);
// Many processes that come at once are one reason to look.
constexpr auto check_pause = std::chrono::seconds(1);

} // namespace

// What is not as it should be, and only this machine can know.
Json Fleet::Impl::look_at_this_machine(bool edge) const {
    CheckSubjects subjects;
    subjects.state_directory = options.directory;
    if (settings.root) subjects.clock_ahead = clock_ahead;
    if (options.settings_error) subjects.settings_error = options.settings_error();
    const auto& agreed = replica.records();
    for (const auto name : agreed.processes_on(settings.name)) {
        const auto* process = agreed.process(name)->accepted();
        if (process && process->spec.limits.memory_bytes) subjects.limited.push_back(process->name);
    }
    const auto fleet = fleet_record();
    if (fleet && fleet->acme != "none" && !fleet->acme.empty())
        for (const auto fqdn : agreed.domains_on(settings.name)) {
            const auto* domain = agreed.domain(fqdn)->accepted();
            if (domain && domain->tls == TlsMode::Node) subjects.acme_client = options.acme_client;
        }
    if (options.units && roles.kept()) {
        if (edge && !roles.on(MachineRole::Edge)) subjects.roles_off.push_back(MachineRole::Edge);
        if ((edge || settings.root) && !roles.on(MachineRole::Connector))
            subjects.roles_off.push_back(MachineRole::Connector);
    }
    subjects.public_side = edge;
    if (edge) subjects.public_ips = fleet->public_ips;
    return to_json(check_node(subjects));
}

void Fleet::Impl::refresh_info() {
    if (stopped) return;
    auto info = measure_node();
    const auto fleet = fleet_record();
    const bool root = !settings.root;
    const bool edge = root && fleet && fleet->root == settings.name;
    const auto addresses = own_addresses();
    const auto mine = [&](const std::string& text) {
        const auto address = net::Address::parse(text);
        return address && std::ranges::find(addresses, *address) != addresses.end();
    };
    // Behind NAT: others see an address that no interface here has. The root's own is what it was told at
    // init.
    info["nat"] = nullptr;
    if (!root && !seen_from.empty()) info["nat"] = !mine(seen_from);
    if (edge && !fleet->public_ips.empty()) info["nat"] = std::ranges::none_of(fleet->public_ips, mine);
    // For this machine's connector, and for members in the root's own network.
    info["root_address"] = !root && root_address ? Json(*root_address) : Json(nullptr);
    if (edge) {
        auto list = Json::array();
        for (const auto& address : private_addresses(addresses))
            list.push_back(address.text());
        info["private_addresses"] = std::move(list);
    }
    info["via"] = edge ? Json("direct") : root ? Json(nullptr) : Json("edge");
    info["server_port"] = edge ? Json(std::uint64_t{edge_port}) : Json(nullptr);
    info["latency_ms"] = latency_ms ? Json(*latency_ms) : Json(nullptr);
    info["download_mbps"] = nullptr;
    info["upload_mbps"] = nullptr;
    if (options.remote_spin) info["remote_spin"] = options.remote_spin();
    info["checks"] = look_at_this_machine(edge);
    own.set(keys::node_info(settings.name), std::move(info));
}

// The round trip changes all the time; the fleet is told when it is another one, not when it trembles.
void Fleet::Impl::measured(std::chrono::microseconds round_trip) {
    const double now = std::round(static_cast<double>(round_trip.count()) / 10.0) / 100.0;
    const bool other = !latency_ms || now > *latency_ms * 2 + 5 || now * 2 + 5 < *latency_ms;
    if (!other) return;
    latency_ms = now;
    refresh_info();
}

void Fleet::settings_changed() {
    impl_->refresh_info();
}

void Fleet::look() {
    const auto now = std::chrono::steady_clock::now();
    if (impl_->last_look && now - *impl_->last_look < look_pause) return;
    impl_->last_look = now;
    if (impl_->hub) impl_->hub->look();
    if (impl_->link) impl_->link->look();
}

void Fleet::Impl::clock_seen(std::chrono::milliseconds ahead) {
    const bool other = !clock_ahead || check_clock(ahead) != check_clock(*clock_ahead);
    clock_ahead = ahead;
    if (other) refresh_info();
}

asio::awaitable<void> Fleet::Impl::watch_machine(std::shared_ptr<Impl> /* keeps it alive */) {
    net::Event pause(executor);
    while (!stopped) {
        co_await look_at_machine.wait(check_interval);
        if (stopped) co_return;
        refresh_info();
        co_await pause.wait(check_pause);
    }
}

asio::awaitable<void> Fleet::Impl::watch_network(std::shared_ptr<Impl> /* keeps it alive */) {
    const auto changes = network;
    while (!stopped) {
        const auto changed = co_await changes->next();
        if (!changed || stopped) co_return;
        if (link) link->network_changed();
        refresh_info();
    }
}

std::vector<net::Endpoint> Fleet::Impl::root_addresses() const {
    if (!settings.root) return {};
    const auto fleet = fleet_record();
    const auto info = fleet ? replica.get(keys::node_info(fleet->root)) : nullptr;
    const auto own_ones = own_addresses();
    return root_endpoints(*settings.root, fleet ? &*fleet : nullptr, info.get(), own_ones, options.root_port);
}

// The connector dials the same (daemon/api/routes.cpp), also while the link is down or p2prcd starts again.
void Fleet::Impl::root_reached(const net::Address& address) {
    root_address.reset();
    if (!address.is_global() && !address.is_loopback()) root_address = address.text();
    refresh_info();
}

// The name server's name is in the parent zone too, as glue, and so is right before the zone itself is.
asio::awaitable<std::vector<net::Endpoint>> look_up_root(std::string zone, std::uint16_t port) {
    std::vector<net::Endpoint> endpoints;
    if (zone.empty()) co_return endpoints;
    const std::vector<std::string> names{"ns1." + zone, zone};
    for (const auto& name : names) {
        const auto addresses = co_await net::resolve(name, std::chrono::seconds(10));
        if (!addresses) continue;
        for (const auto& address : *addresses)
            if (const net::Endpoint endpoint{address, port};
                std::ranges::find(endpoints, endpoint) == endpoints.end() && endpoints.size() < 8)
                endpoints.push_back(endpoint);
    }
    co_return endpoints;
}

} // namespace p2prc::daemon
