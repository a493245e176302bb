#include "daemon/fleet/fleet.h"

#include "core/json_members.h"
#include "daemon/fleet/damage.h"
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/log_limit.h"
#include "net/log.h"
#include "net/spawn.h"
#include "state/owner_notes.h"

#include <chrono>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

std::shared_ptr<NodeContext> make_context(asio::any_io_executor executor, state::Disk& disk,
                                          state::Replica& replica, state::OwnState& own,
                                          FleetOptions options) {
    auto logs = options.open_logs ? limit_logs(options.open_logs, logs_for_other_nodes) : OpenLogs();
    return std::make_shared<NodeContext>(std::move(executor), disk, replica, own, std::move(options),
                                         std::move(logs));
}

} // namespace

Fleet::Impl::Impl(asio::any_io_executor executor, state::Disk& disk, state::Replica& replica,
                  state::OwnState& own, FleetOptions options)
    : node(make_context(executor, disk, replica, own, std::move(options)))
    , gateway(*this)
    , roles(node->options.directory / "roles", node->options.units)
    , handover_file(node->options.directory / "luggage.json")
    , offers(
          replica, own, [this] { return node->name(); }, [this] { return role_change.between_registries(); })
    , look_at_machine(executor) {}

registry::LocalRegistry* Fleet::Impl::registry() const {
    return root ? root->registry().get() : nullptr;
}

MemberLink* Fleet::Impl::link() const {
    return member ? member->link() : nullptr;
}

asio::awaitable<Result<Json>> Fleet::Impl::SwitchGateway::request(std::string method, Json params) {
    const auto self = impl_.shared_from_this();
    if (!impl_.can_do_alone(method, params)) co_await impl_.wait_back();
    // Not Unreachable, for which an action would be noted here and wait for the registry that is left.
    if (impl_.role_change.between_registries() &&
        (method.starts_with("process.") || method.starts_with("domain.")))
        co_return std::unexpected(role_is_changing());
    if (auto* registry = impl_.registry())
        co_return co_await registry->request(std::move(method), std::move(params));
    if (auto* link = impl_.link()) {
        auto answer = co_await link->request(std::move(method), std::move(params));
        if (!answer) co_return answer;
        // The change came before the answer. It is on this node's disk too before anybody here is told: a
        // power cut, and a root that is away after it, must not undo it.
        if (const auto kept = co_await impl_.node->replica.flush(); !kept)
            net::log_error("what was agreed is not on this node's disk: " + kept.error().message);
        co_return answer;
    }
    if (impl_.root && impl_.root->lost()) co_return std::unexpected(*impl_.root->lost());
    auto error = role_is_changing();
    error.code = ErrorCode::Unreachable;
    co_return std::unexpected(error);
}

asio::awaitable<void> Fleet::Impl::wait_back() {
    const auto self = shared_from_this();
    if (link() && !role_change.between_registries()) co_await link()->wait_back();
}

// What runs here is stopped and started without the root, which must not hold that up.
bool Fleet::Impl::can_do_alone(const std::string& method, const Json& params) const {
    if (method == "process.spin" || !method.starts_with("process.")) return false;
    const auto id = keys::id_from_text(json::member<std::string>(params, "process"));
    const auto* entry = id ? node->replica.records().process(*id) : nullptr;
    return entry && entry->record.node == node->name();
}

bool Fleet::Impl::SwitchGateway::reachable() const {
    return impl_.registry() || (impl_.link() && impl_.link()->reachable());
}

bool Fleet::Impl::SwitchGateway::connecting() const {
    return impl_.link() && impl_.link()->connecting();
}

Error Fleet::Impl::SwitchGateway::away() const {
    if (impl_.root && impl_.root->lost()) return *impl_.root->lost();
    return impl_.link() ? impl_.link()->away() : registry::Gateway::away();
}

std::vector<Error> Fleet::Impl::SwitchGateway::notices() const {
    return damage_notices(impl_.node->options.directory);
}

std::optional<Error> Fleet::Impl::SwitchGateway::upload_trouble() const {
    if (impl_.root) return impl_.root->upload_trouble();
    return impl_.link() ? impl_.link()->upload_trouble() : std::nullopt;
}

void Fleet::Impl::forget_killed(std::span<const state::Change> changes) {
    for (const auto& change : changes) {
        const auto id = keys::id_from_text(keys::last_part(change.key));
        const auto* entry = id ? node->replica.records().tombstone(*id) : nullptr;
        const auto* tombstone = entry ? entry->accepted() : nullptr;
        if (tombstone && tombstone->node == node->name()) node->origins.forget(*tombstone);
    }
}

void Fleet::Impl::fleet_changed() const {
    const auto* entry = node->replica.records().fleet();
    if (entry && entry->refused)
        net::log_warning(entry->refused->message, {{"FLEET_HINT", entry->refused->hint}});
}

asio::awaitable<Result<void>> Fleet::Impl::start() {
    const auto self = shared_from_this();
    auto identity = net::load_or_create_identity(node->options.directory);
    if (!identity) co_return std::unexpected(identity.error());
    node->identity = std::move(*identity);
    auto settings = load_settings(node->settings_file(), node->options.host_name);
    if (!settings) co_return std::unexpected(settings.error());
    node->settings = std::move(*settings);
    if (const auto saved = node->save_settings(node->settings); !saved) co_return saved;
    auto web = WebCa::load(node->ca_directory());
    if (!web) net::log_error("the web CA cannot be used: " + web.error().message);
    if (web && *web) node->ca->set(std::move(**web));

    claim_own_state();
    if (is_member()) make_member();
    watch_state();
    keep_roles();
    // The copy of the fleet's state is of a p2prcd that kept no origins: its records are believed once.
    if (is_member() && !node->origins.kept()) node->origins.keep(node->replica, node->name());
    refresh_info();
    auto handover = handover_file.read();
    if (!handover) net::log_error(handover.error().message + "; " + handover.error().hint);
    const bool was_leaving = handover && *handover;
    if (was_leaving && (!is_member() || node->is_released())) {
        if (const auto begun = role_change.take(RoleEvent::Released); !begun) co_return begun;
        co_return co_await return_home(std::move(**handover));
    }
    if (is_member()) {
        const auto begun = role_change.take(was_leaving ? RoleEvent::Unanswered : RoleEvent::Belongs);
        member->dial();
        co_return begun;
    }
    for (const auto& notice : damage_notices(node->options.directory))
        net::log_warning(notice.message + "; " + notice.hint);
    Json nothing = Json::object();
    co_return co_await open_own_registry(std::move(nothing));
}

void Fleet::Impl::watch_state() {
    auto changes = net::NetworkChanges::open(node->executor);
    if (changes) {
        network = std::make_shared<net::NetworkChanges>(std::move(*changes));
        net::spawn_loop(node->executor, "watching the network",
                        [self = shared_from_this()] { return self->watch_network(self); });
    } else {
        net::log_warning("changes of the network will be noticed late: " + changes.error().message);
    }
    const auto weak = weak_from_this();
    auto& replica = node->replica;
    tombstones =
        replica.subscribe(std::string(keys::tombstones), [weak](std::span<const state::Change> killed) {
            if (const auto impl = weak.lock()) impl->forget_killed(killed);
        });
    fleet_changes = replica.subscribe(std::string(keys::fleet), [weak](std::span<const state::Change>) {
        if (const auto impl = weak.lock()) impl->fleet_changed();
    });
    process_changes = replica.subscribe(std::string(keys::processes), [weak](std::span<const state::Change>) {
        if (const auto impl = weak.lock()) impl->look_at_machine.set();
    });
    net::spawn_loop(node->executor, "looking after this machine",
                    [self = shared_from_this()] { return self->watch_machine(self); });
}

void Fleet::Impl::rename(const std::string& name) {
    if (name == node->name()) return;
    if (root) root->name_changes();
    node->settings.name = name;
    // First: what is paused is not resumed meanwhile.
    state::rename_owner(node->own, node->key(), name);
    if (node->options.node_renamed) node->options.node_renamed(name);
    claim_own_state();
    if (root) root->name_changed();
    refresh_info();
}

// What this node says of itself stands under its name: also what it said under one that it had before, be it
// that p2prcd ended when it had just been given another. Under the old one the registry would refuse it.
void Fleet::Impl::claim_own_state() {
    const auto& name = node->name();
    state::rename_owner(node->own, node->key(), name);
    std::vector<state::Change> changes;
    for (const auto& [key, entry] : node->own.entries()) {
        const auto parsed = keys::parse(key);
        if (!parsed || parsed->node().empty() || parsed->node() == name) continue;
        const auto& family = *parsed->family;
        changes.push_back({key, {}, 0});
        // Measured anew, or meant for the processes of another registry.
        if (!family.renamed_with_node) continue;
        auto value = *entry.document.read();
        if (family.node & keys::node_in_value && value.is_object()) value["node"] = name;
        const auto rest = key.substr(family.prefix.size() + parsed->node().size());
        const auto claimed = keys::of_node(family, name) + rest.substr(std::min<std::size_t>(1, rest.size()));
        if (!node->own.contains(claimed)) changes.push_back({claimed, std::move(value), 0});
    }
    node->own.update(std::move(changes));
}

void Fleet::Impl::stop() {
    (void)role_change.take(RoleEvent::Stop);
    look_at_machine.set();
    if (network) network->close();
    if (root) root->close();
    root.reset();
    member.reset();
}

Fleet::Fleet(asio::any_io_executor executor, state::Disk& disk, state::Replica& replica, state::OwnState& own,
             FleetOptions options)
    : impl_(std::make_shared<Impl>(executor, disk, replica, own, std::move(options))) {}

Fleet::~Fleet() {
    impl_->stop();
}

asio::awaitable<Result<void>> Fleet::start() {
    return impl_->start();
}

const std::string& Fleet::key() const {
    return impl_->node->key();
}

std::string Fleet::node_name() const {
    return impl_->node->name();
}

bool Fleet::is_root() const {
    return !impl_->is_member();
}

registry::Gateway& Fleet::gateway() {
    return impl_->gateway;
}

asio::awaitable<void> Fleet::wait_back() {
    return impl_->wait_back();
}

asio::awaitable<Result<Json>> Fleet::init(Json options, std::string by) {
    return impl_->init(std::move(options), std::move(by));
}

asio::awaitable<Result<Json>> Fleet::invite(std::string role, std::uint64_t expires_seconds, std::string by) {
    return impl_->invite(std::move(role), expires_seconds, std::move(by));
}

asio::awaitable<Result<Json>> Fleet::join(std::string token, std::string name, std::string) {
    return impl_->join(std::move(token), std::move(name));
}

asio::awaitable<Result<void>> Fleet::leave(bool force, std::string by) {
    return impl_->leave(force, std::move(by));
}

asio::awaitable<Result<void>> Fleet::remove_node(std::string name, std::string by) {
    const auto impl = impl_;
    Json params{{"name", std::move(name)}, {"by", std::move(by)}};
    const auto removed = co_await impl->gateway.request("node.remove", std::move(params));
    if (!removed) co_return std::unexpected(removed.error());
    co_return Result<void>();
}

Result<std::string> Fleet::web_ca() const {
    const auto fleet = impl_->node->fleet_record();
    if (!fleet || fleet->web_ca.empty())
        return fail(ErrorCode::NotFound, "this fleet has no web CA",
                    "p2prc init --acme none, on the root, makes one");
    return fleet->web_ca;
}

asio::awaitable<Json> Fleet::usage(std::string node) {
    const auto impl = impl_;
    const auto own = impl->node->name();
    Json all = Json::object();
    if (node.empty() || node == own) {
        if (const auto& measure = impl->node->options.measure_usage) {
            const auto measured = co_await measure();
            if (measured) all[own] = *measured;
        }
        if (node == own) co_return all;
    }
    if (auto* hub = impl->root ? impl->root->hub() : nullptr) {
        const Json others = co_await hub->usage(std::move(node));
        all.update(others);
    } else if (auto* link = impl->link()) {
        Json params{{"node", std::move(node)}};
        std::string method = "usage";
        const auto others = co_await link->request(std::move(method), std::move(params));
        if (others && others->is_object()) all.update(*others);
    }
    co_return all;
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> Fleet::logs(std::string node, Json params) {
    const auto impl = impl_;
    if (node == impl->node->name()) {
        if (!impl->node->options.open_logs)
            co_return fail(ErrorCode::NotSupported, "logs are not in this version");
        co_return co_await impl->node->options.open_logs(std::move(params));
    }
    if (auto* hub = impl->root ? impl->root->hub() : nullptr)
        co_return co_await hub->open_stream(std::move(node), "logs", std::move(params));
    params["node"] = node;
    if (auto* link = impl->link()) co_await link->wait_back();
    if (auto* link = impl->link()) co_return co_await link->open_stream("logs", std::move(params));
    auto error = role_is_changing();
    error.code = ErrorCode::Unreachable;
    co_return std::unexpected(error);
}

} // namespace p2prc::daemon
