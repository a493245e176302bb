#include "daemon/api/api.h"

#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "daemon/api/documents.h"
#include "daemon/api/log_control.h"
#include "daemon/api/manager.h"
#include "daemon/api/objects.h"
#include "daemon/api/owners.h"
#include "daemon/api/usage.h"
#include "dbus/names.h"
#include "process/unit_names.h"
#include "process/usage.h"

#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

struct Api::Impl {
    explicit Impl(ApiParts p);

    // Memory and processor time of what runs here are read when somebody asks.
    void measure(Json& process, process::BriefUsages& usages) const {
        parts.fleet.look();
        if (json::member<std::string>(process, "node") != view.node() ||
            !json::member<bool>(process, "status"))
            return;
        const auto* status = view.status(view.node(), json::member<std::uint32_t>(process, "id"));
        const auto turn = status ? process::turn_of(*status) : process::Turn::First;
        const process::Usage usage =
            usages.of(process::unit_name(json::member<std::string>(process, "name"), turn));
        if (usage.memory_bytes) process["memory_bytes"] = *usage.memory_bytes;
        if (usage.cpu_seconds) process["cpu_seconds"] = *usage.cpu_seconds;
    }

    std::vector<ObjectKind> kinds() {
        ObjectKind processes{
            dbus::names::process_prefix, dbus::names::process_interface, process_fields(), "id", {}, {},
            keys::process_objects};
        processes.polled = {"memory_bytes", "cpu_seconds"};
        processes.documents = [this] { return process_rows(view); };
        processes.document = [this](const std::string& id) {
            const auto* record = view.process(keys::id_from_text(id).value_or(0));
            return record ? process_row(view, *record) : Json(nullptr);
        };
        processes.measure = [this](Json& document) {
            process::BriefUsages usages;
            measure(document, usages);
        };
        processes.methods = manager.methods("Process");
        ObjectKind nodes{dbus::names::node_prefix, dbus::names::node_interface, node_fields(), "name", {}, {},
                         keys::node_objects};
        nodes.documents = [this] { return node_rows(view); };
        nodes.polled = {"last_seen", "last_seen_timestamp"};
        nodes.measure = [this](Json& node) {
            set_last_seen(node, view.last_heard(json::member<std::string>(node, "name")));
        };
        nodes.document = [this](const std::string& name) {
            const auto* record = view.node_record(name);
            return record ? node_row(view, *record) : Json(nullptr);
        };
        nodes.methods = manager.methods("Node");
        ObjectKind domains{
            dbus::names::domain_prefix, dbus::names::domain_interface, domain_fields(), "domain", {}, {},
            keys::domain_objects};
        domains.documents = [this] { return domain_rows(view); };
        domains.document = [this](const std::string& fqdn) {
            const auto* record = view.domain(fqdn);
            return record ? domain_row(view, *record) : Json(nullptr);
        };
        domains.methods = manager.methods("Domain");
        return {std::move(processes), std::move(nodes), std::move(domains)};
    }

    Result<void> publish();
    void note_tombstone(const state::Change& change);
    void note_end(const state::Change& change);

    ApiParts parts;
    View view;
    Waits waits;
    Actions actions;
    Owners owners;
    Authorisation rights;
    Helpers helpers;
    UsageMeter meter;
    Services services;
    Manager manager;
    Objects objects;
    Events events;
    std::vector<dbus::Registration> registrations;
    state::Subscription subscription;
    std::vector<state::Subscription> kills;
};

Api::Impl::Impl(ApiParts p)
    : parts(std::move(p))
    , view(
          parts.replica, parts.own, [fleet = &parts.fleet] { return fleet->node_name(); },
          [fleet = &parts.fleet] { return fleet->gateway().reachable(); })
    , waits(parts.bus.executor(), view)
    , actions(parts.fleet, view, parts.own, waits, parts.check_spec, parts.apply_limits,
              parts.clean_deployments)
    , owners(view, parts.own, parts.cgroup_root)
    , rights(parts.bus, parts.users)
    , helpers(parts.bus, parts.fleet, view, parts.own, rights, parts.issue_certificate, parts.accepts,
              parts.ports)
    , meter(parts.bus.executor(), view, helpers)
    , services{parts.bus,
               parts.fleet,
               view,
               actions,
               owners,
               rights,
               [this] {
                   auto reports = helpers.reports();
                   if (parts.unconfined) reports.unconfined = parts.unconfined();
                   return reports;
               },
               [this](Json& document, process::BriefUsages& usages) { measure(document, usages); },
               [this] { objects.refresh(); },
               [this] { manager.announce(); }}
    , manager(services)
    , objects(parts.bus, view, kinds())
    , events(parts.bus, view, parts.events) {}

Result<void> Api::Impl::publish() {
    auto root = parts.bus.add_object(dbus::names::root_path, manager.interface());
    if (!root) return std::unexpected(root.error());
    auto log = parts.bus.add_object(log_control_path, log_control("p2prcd"));
    if (!log) return std::unexpected(log.error());
    // First what it begins to say of the edge, which all domains depend on.
    if (auto done = helpers.publish(); !done) return done;
    if (auto done = objects.publish(); !done) return done;
    auto tree = parts.bus.add_object_manager(dbus::names::root_path);
    if (!tree) return std::unexpected(tree.error());
    registrations = {*root, *log, *tree};
    events.start();
    subscription =
        parts.replica.subscribe("/", [this](std::span<const state::Change>) { manager.announce(); });
    const auto watch = [this](std::string_view prefix, void (Impl::*note)(const state::Change&)) {
        kills.push_back(parts.replica.subscribe(std::string(prefix),
                                                [this, note](std::span<const state::Change> changes) {
                                                    for (const auto& change : changes)
                                                        (this->*note)(change);
                                                }));
    };
    watch(keys::tombstones, &Impl::note_tombstone);
    watch(keys::processes, &Impl::note_end);
    return {};
}

void Api::Impl::note_tombstone(const state::Change& change) {
    const auto parsed = keys::parse(change.key);
    const auto* entry = parsed ? parts.replica.records().tombstone(parsed->id()) : nullptr;
    if (const auto* tombstone = entry ? entry->accepted() : nullptr) view.note_killed(*tombstone);
}

// What was killed while the root was away has no tombstone by the time that others hear of it: its node's
// report, which comes with the end of its record, says the same. Of nothing else a report is believed: a node
// can write what it likes into its own.
void Api::Impl::note_end(const state::Change& change) {
    if (!change.before) return;
    const auto& known = parts.replica.records();
    const auto id = json::member<std::uint32_t>(*change.before, "id");
    if (known.process(id)) return;
    const auto name = json::member<std::string>(*change.before, "name");
    const auto node = json::member<std::string>(*change.before, "node");
    const auto* status = known.status(node, id);
    if (!status || status->name != name || !check_process_name(name)) return;
    if (const auto& reason = status->reason; reason && reason->kind == StopKind::Killed)
        view.note_reported_kill({id, name, node, text::excerpt(reason->by), text::excerpt(reason->at)});
}

Api::Api(ApiParts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}

Api::~Api() = default;

asio::awaitable<Result<void>> Api::start() {
    if (auto published = impl_->publish(); !published) co_return published;
    co_return co_await impl_->parts.bus.request_name(dbus::names::service);
}

void Api::link_changed() {
    impl_->manager.announce();
    // Whether the root is up is known by the link alone.
    if (const auto* fleet = impl_->view.fleet(); fleet && !fleet->root.empty())
        impl_->objects.look_at(keys::node_objects, fleet->root);
}

asio::awaitable<Result<Json>> Api::measure_usage() {
    return impl_->meter.measure();
}

const View& Api::view() const {
    return impl_->view;
}

} // namespace p2prc::daemon
