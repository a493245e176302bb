#include "daemon/fleet/fleet.h"

#include "core/json_members.h"
#include "daemon/fleet/damage.h"
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/log_limit.h"
#include "net/file.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <chrono>

namespace p2prc::daemon {

namespace asio = boost::asio;

Fleet::Impl::Impl(asio::any_io_executor e, state::Disk& d, state::Replica& r, state::OwnState& o,
                  FleetOptions op)
    : executor(e)
    , disk(d)
    , replica(r)
    , own(o)
    , options(std::move(op))
    , gateway(*this)
    , look_at_machine(e)
    , logs_for_others(options.open_logs ? limit_logs(options.open_logs, logs_for_other_nodes) : OpenLogs())
    , offers(replica, own, [this] { return settings.name; }, [this] { return moving; }) {}

asio::awaitable<Result<Json>> Fleet::Impl::SwitchGateway::request(std::string method, Json params) {
    const auto self = impl_.shared_from_this();
    if (!impl_.can_do_alone(method, params)) co_await impl_.wait_back();
    // Not Unreachable, for which an action would be noted here and wait for the registry that is left.
    if (impl_.moving && (method.starts_with("process.") || method.starts_with("domain.")))
        co_return fail(ErrorCode::Conflict, "this machine is joining or leaving a fleet right now",
                       "try again in a moment");
    if (impl_.registry) co_return co_await impl_.registry->request(std::move(method), std::move(params));
    if (impl_.link) {
        auto answer = co_await impl_.link->request(std::move(method), std::move(params));
        if (!answer) co_return answer;
        // The change came before the answer. It is on this node's disk too before anybody here is told: a
        // power cut, and a root that is away after it, must not undo it.
        if (const auto kept = co_await impl_.replica.flush(); !kept)
            net::log_error("what was agreed is not on this node's disk: " + kept.error().message);
        co_return answer;
    }
    if (impl_.no_registry) co_return std::unexpected(*impl_.no_registry);
    co_return fail(ErrorCode::Unreachable, "this machine is joining or leaving a fleet right now",
                   "try again in a moment");
}

asio::awaitable<void> Fleet::Impl::wait_back() {
    const auto self = shared_from_this();
    if (link && !moving) co_await link->wait_back();
}

// What runs here is stopped and started without the root, which must not hold that up.
bool Fleet::Impl::can_do_alone(const std::string& method, const Json& params) const {
    if (method == "process.spin" || !method.starts_with("process.")) return false;
    const auto id = keys::id_from_text(text_of(params, "process"));
    const auto* entry = id ? replica.records().process(*id) : nullptr;
    return entry && entry->record.node == settings.name;
}

void Fleet::Impl::forget_killed(std::span<const state::Change> changes) {
    for (const auto& change : changes) {
        const auto id = keys::id_from_text(keys::last_part(change.key));
        const auto* entry = id ? replica.records().tombstone(*id) : nullptr;
        const auto* tombstone = entry ? entry->accepted() : nullptr;
        if (tombstone && tombstone->node == settings.name) origins.forget(*tombstone);
    }
}

bool Fleet::Impl::SwitchGateway::reachable() const {
    return impl_.registry || (impl_.link && impl_.link->reachable());
}

bool Fleet::Impl::SwitchGateway::connecting() const {
    return impl_.link && impl_.link->connecting();
}

Error Fleet::Impl::SwitchGateway::away() const {
    if (impl_.no_registry) return *impl_.no_registry;
    return impl_.link ? impl_.link->away() : registry::Gateway::away();
}

std::vector<Error> Fleet::Impl::SwitchGateway::notices() const {
    return damage_notices(impl_.options.directory);
}

std::optional<Error> Fleet::Impl::SwitchGateway::upload_trouble() const {
    if (impl_.upload) return impl_.upload->trouble();
    return impl_.link ? impl_.link->upload_trouble() : std::nullopt;
}

void Fleet::Impl::CaHolder::set(WebCa ca) {
    const std::lock_guard lock(mutex_);
    ca_ = std::move(ca);
}

Result<std::string> Fleet::Impl::CaHolder::sign(const std::string& domain, const std::string& request) const {
    const std::lock_guard lock(mutex_);
    if (!ca_)
        return fail(ErrorCode::Conflict, "this fleet has no web CA",
                    "p2prc init --acme none, on the root, makes one");
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    return ca_->sign(domain, request, now.count());
}

std::optional<FleetRecord> Fleet::Impl::fleet_record() const {
    const auto* entry = replica.records().fleet();
    const auto* record = entry ? entry->accepted() : nullptr;
    return record ? std::optional(*record) : std::nullopt;
}

void Fleet::Impl::fleet_changed() const {
    const auto* entry = replica.records().fleet();
    if (entry && entry->refused)
        net::log_warning(entry->refused->message, {{"FLEET_HINT", entry->refused->hint}});
}

asio::awaitable<Result<void>> Fleet::Impl::start() {
    const auto self = shared_from_this();
    auto loaded_identity = net::load_or_create_identity(options.directory);
    if (!loaded_identity) co_return std::unexpected(loaded_identity.error());
    identity = std::move(*loaded_identity);
    auto loaded = load_settings(settings_file(), options.host_name);
    if (!loaded) co_return std::unexpected(loaded.error());
    settings = std::move(*loaded);
    if (const auto saved = save_settings(settings_file(), settings); !saved) co_return saved;
    auto web = WebCa::load(ca_directory());
    if (!web) net::log_error("the web CA cannot be used: " + web.error().message);
    if (web && *web) ca->set(std::move(**web));

    auto changes = net::NetworkChanges::open(executor);
    if (changes) {
        network = std::make_shared<net::NetworkChanges>(std::move(*changes));
        net::spawn_loop(executor, "watching the network",
                        [self = shared_from_this()] { return self->watch_network(self); });
    } else {
        net::log_warning("changes of the network will be noticed late: " + changes.error().message);
    }
    claim_own_state();
    if (const auto info = own.get(keys::node_info(settings.name)))
        root_address = json::optional_member<std::string>(*info, "root_address");
    tombstones = replica.subscribe(std::string(keys::tombstones),
                                   [weak = weak_from_this()](std::span<const state::Change> killed) {
                                       if (const auto impl = weak.lock()) impl->forget_killed(killed);
                                   });
    fleet_changes = replica.subscribe(std::string(keys::fleet),
                                      [weak = weak_from_this()](std::span<const state::Change>) {
                                          if (const auto impl = weak.lock()) impl->fleet_changed();
                                      });
    process_changes = replica.subscribe(std::string(keys::processes),
                                        [weak = weak_from_this()](std::span<const state::Change>) {
                                            if (const auto impl = weak.lock()) impl->look_at_machine.set();
                                        });
    net::spawn_loop(executor, "looking after this machine",
                    [self = shared_from_this()] { return self->watch_machine(self); });
    keep_roles();
    // The copy of the fleet's state as it was when nobody believed a root less than itself.
    if (settings.root && !origins.kept()) origins.keep(replica, settings.name);
    refresh_info();
    auto packed = luggage_file.load();
    if (!packed) net::log_error(packed.error().message + "; " + packed.error().hint);
    leaving = packed && *packed;
    if (leaving && (!settings.root || let_go())) {
        const Changing guard(changing);
        const Changing between(moving);
        co_return co_await come_home(std::move(**packed));
    }
    if (settings.root) {
        start_link();
        co_return Result<void>();
    }
    for (const auto& notice : damage_notices(options.directory))
        net::log_warning(notice.message + "; " + notice.hint);
    co_return co_await start_registry();
}

void Fleet::Impl::start_link() {
    LinkOptions link_options;
    link_options.node = settings.name;
    link_options.root_key = settings.root->key;
    const std::weak_ptr<Impl> weak = weak_from_this();
    link_options.addresses = [weak] {
        const auto self = weak.lock();
        return self ? self->root_addresses() : std::vector<net::Endpoint>();
    };
    link_options.look_up = [weak]() -> asio::awaitable<std::vector<net::Endpoint>> {
        const auto self = weak.lock();
        const bool member = self && self->settings.root;
        return look_up_root(member ? self->settings.root->zone : std::string(),
                            self ? self->options.root_port : std::uint16_t{});
    };
    link_options.open_logs = logs_for_others;
    link_options.changed = [weak](bool up, const std::string& reason) {
        const auto self = weak.lock();
        if (self && self->options.link_changed) self->options.link_changed(up, reason);
        if (self && up) self->settle_leave(false);
    };
    link_options.refused = [weak] {
        if (const auto self = weak.lock()) self->settle_leave(true);
    };
    link_options.reached = [weak](const net::Address& address) {
        if (const auto self = weak.lock()) self->root_reached(address);
    };
    link_options.seen_from = [weak](const std::string& source) {
        const auto self = weak.lock();
        if (!self) return;
        self->seen_from = source;
        self->refresh_info();
    };
    link_options.measured = [weak](std::chrono::microseconds time) {
        if (const auto self = weak.lock()) self->measured(time);
    };
    link_options.clock = [weak](std::chrono::milliseconds ahead) {
        if (const auto self = weak.lock()) self->clock_seen(ahead);
    };
    link_options.looked = options.looked;
    link_options.timing = options.link_timing;
    link = std::make_unique<MemberLink>(executor, *identity, replica, own, std::move(link_options));
}

void Fleet::Impl::rename(const std::string& name) {
    if (name == settings.name) return;
    // The registry would refuse to have the old name's keys removed under the new one: all is put again.
    const bool uploading = upload != nullptr;
    upload.reset();
    settings.name = name;
    if (options.node_renamed) options.node_renamed(name);
    claim_own_state();
    if (uploading) upload = std::make_unique<Upload>(executor, *registry, own, replica);
    refresh_info();
}

// What this node says of itself stands under its name: also what it said under one that it had before, be it
// that p2prcd ended when it had just been given another. Under the old one the registry would refuse it.
void Fleet::Impl::claim_own_state() {
    const auto& name = settings.name;
    std::vector<state::Change> changes;
    for (const auto& [key, entry] : own.entries()) {
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
        if (!own.contains(claimed)) changes.push_back({claimed, std::move(value), 0});
    }
    own.update(std::move(changes));
}

void Fleet::Impl::stop() {
    stopped = true;
    look_at_machine.set();
    if (network) network->close();
    server.reset();
    hub.reset();
    upload.reset();
    feed.reset();
    link.reset();
    // Requests under way hold it for a while; its file is let go of at once.
    for (const auto& open : {opening, registry})
        if (open) open->close();
    registry.reset();
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
    return impl_->identity->fingerprint();
}

std::string Fleet::node_name() const {
    return impl_->settings.name;
}

bool Fleet::is_root() const {
    return !impl_->settings.root;
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
    const auto fleet = impl_->fleet_record();
    if (!fleet || fleet->web_ca.empty())
        return fail(ErrorCode::NotFound, "this fleet has no web CA",
                    "p2prc init --acme none, on the root, makes one");
    return fleet->web_ca;
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> Fleet::logs(std::string node, Json params) {
    const auto impl = impl_;
    if (node == impl->settings.name) {
        if (!impl->options.open_logs) co_return fail(ErrorCode::NotSupported, "logs are not in this version");
        co_return co_await impl->options.open_logs(std::move(params));
    }
    if (impl->hub) co_return co_await impl->hub->open_stream(std::move(node), "logs", std::move(params));
    params["node"] = node;
    if (impl->link) co_await impl->link->wait_back();
    if (impl->link) co_return co_await impl->link->open_stream("logs", std::move(params));
    co_return fail(ErrorCode::Unreachable, "this machine is joining or leaving a fleet right now",
                   "try again in a moment");
}

} // namespace p2prc::daemon
