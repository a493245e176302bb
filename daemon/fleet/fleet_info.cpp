// What this node says of itself and of its machine.
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/hardware.h"
#include "daemon/fleet/node_checks.h"
#include "daemon/fleet/node_info.h"
#include "daemon/fleet/root_addresses.h"

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr auto check_interval = std::chrono::seconds(30);
// Many processes that come at once are one reason to look, and none of them waits for it to start.
constexpr auto check_pause = std::chrono::seconds(1);

} // namespace

// What is not as it should be, and only this machine can know.
Json Fleet::Impl::look_at_this_machine(bool edge) const {
    CheckSubjects subjects;
    subjects.state_directory = node->options.directory;
    if (member) subjects.clock_ahead = member->clock_ahead();
    if (node->options.settings_error) subjects.settings_error = node->options.settings_error();
    const auto& agreed = node->replica.records();
    for (const auto name : agreed.processes_on(node->name())) {
        const auto* process = agreed.process(name)->accepted();
        if (process && process->spec.limits.memory_bytes) subjects.limited.push_back(process->name);
    }
    const auto fleet = node->fleet_record();
    if (fleet && fleet->acme != "none" && !fleet->acme.empty())
        for (const auto fqdn : agreed.domains_on(node->name())) {
            const auto* domain = agreed.domain(fqdn)->accepted();
            if (domain && domain->tls == TlsMode::Node) subjects.acme_client = node->options.acme_client;
        }
    if (node->options.units && roles.kept()) {
        if (edge && !roles.on(MachineRole::Edge)) subjects.roles_off.push_back(MachineRole::Edge);
        if ((edge || is_member()) && !roles.on(MachineRole::Connector))
            subjects.roles_off.push_back(MachineRole::Connector);
    }
    subjects.public_side = edge;
    if (edge) subjects.public_ips = fleet->public_ips;
    return to_json(check_node(subjects));
}

void Fleet::Impl::refresh_info() {
    if (role_change.stopped()) return;
    auto info = measure_node();
    info.update(measure_hardware());
    const auto fleet = node->fleet_record();
    const bool edge = !is_member() && fleet && fleet->root == node->name();
    const auto addresses = own_addresses();
    const auto mine = [&](const std::string& text) {
        const auto address = net::Address::parse(text);
        return address && std::ranges::find(addresses, *address) != addresses.end();
    };
    // Behind NAT: others see an address that no interface here has. The root's own is what it was told at
    // init.
    info["nat"] = nullptr;
    if (member && !member->seen_from().empty()) info["nat"] = !mine(member->seen_from());
    if (edge && !fleet->public_ips.empty()) info["nat"] = std::ranges::none_of(fleet->public_ips, mine);
    // For this machine's connector, and for members in the root's own network.
    const auto root_address = member ? member->root_address() : std::nullopt;
    info["root_address"] = root_address ? Json(*root_address) : Json(nullptr);
    if (edge) {
        auto list = Json::array();
        for (const auto& address : private_addresses(addresses))
            list.push_back(address.text());
        info["private_addresses"] = std::move(list);
    }
    info["via"] = edge ? Json("direct") : is_member() ? Json("edge") : Json(nullptr);
    info["server_port"] = edge ? Json(std::uint64_t{edge_port}) : Json(nullptr);
    const auto latency = member ? member->latency_ms() : std::nullopt;
    info["latency_ms"] = latency ? Json(*latency) : Json(nullptr);
    info["download_mbps"] = nullptr;
    info["upload_mbps"] = nullptr;
    if (node->options.remote_spin) info["remote_spin"] = node->options.remote_spin();
    if (node->options.deployers) info["deployers"] = node->options.deployers();
    info["checks"] = look_at_this_machine(edge);
    const auto reported = node->own.get(keys::node_info(node->name()));
    node->own.set(keys::node_info(node->name()), steadied(std::move(info), reported ? *reported : Json()));
}

void Fleet::settings_changed() {
    impl_->refresh_info();
}

void Fleet::look() {
    const auto now = std::chrono::steady_clock::now();
    if (impl_->last_look && now - *impl_->last_look < look_pause) return;
    impl_->last_look = now;
    if (impl_->root && impl_->root->hub()) impl_->root->hub()->look();
    if (auto* link = impl_->link()) link->look();
}

asio::awaitable<void> Fleet::Impl::watch_machine(std::shared_ptr<Impl> /* keeps it alive */) {
    net::Event pause(node->executor);
    while (!role_change.stopped()) {
        if (co_await look_at_machine.wait(check_interval)) co_await pause.wait(check_pause);
        refresh_info(); // not any more where this has stopped
    }
}

asio::awaitable<void> Fleet::Impl::watch_network(std::shared_ptr<Impl> /* keeps it alive */) {
    const auto changes = network;
    while (!role_change.stopped()) {
        const auto changed = co_await changes->next();
        if (!changed || role_change.stopped()) co_return;
        if (auto* dialled = link()) dialled->network_changed();
        refresh_info();
    }
}

} // namespace p2prc::daemon
