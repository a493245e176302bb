// The tables that edge and connector work from: when they are made anew, and that the two are told.
#include "core/counted.h"
#include "core/json_members.h"
#include "daemon/api/helpers.h"
#include "daemon/api/routes.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "net/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::daemon {

namespace {

constexpr std::chrono::milliseconds between_refreshes{50};

bool same_routes(RouteTable a, const RouteTable& b) {
    a.revision = b.revision;
    return a == b;
}

} // namespace

// What all routes, or all mappings, are made with: few changes are of these.
void Helpers::all_changed() {
    routes_stale_ = mappings_stale_ = true;
    refresh_soon();
}

void Helpers::domains_changed(std::span<const state::Change> changes) {
    for (const state::Change& change : changes) {
        changed_routes_.emplace(keys::last_part(change.key));
        mappings_stale_ = mappings_stale_ || is_here(change);
    }
    refresh_soon();
}

void Helpers::processes_changed(std::span<const state::Change> changes) {
    if (std::ranges::none_of(changes, [this](const state::Change& change) { return is_here(change); }))
        return;
    mappings_stale_ = true;
    refresh_soon();
}

// A record of this node, now or before.
bool Helpers::is_here(const state::Change& change) const {
    const auto here = [this](const std::optional<Json>& document) {
        return document && json::member<std::string>(*document, "node") == view_->node();
    };
    return here(change.before) || here(change.value);
}

void Helpers::follow() {
    state::State& agreed = view_->replica();
    const auto on = [this](state::State& state, std::string_view family, state::ChangeCallback callback) {
        subscriptions_.push_back(state.subscribe(std::string(family), std::move(callback)));
    };
    on(agreed, keys::fleet, [this](std::span<const state::Change>) { all_changed(); });
    on(agreed, keys::nodes, [this](std::span<const state::Change>) { all_changed(); });
    on(agreed, keys::domains, [this](std::span<const state::Change> changes) { domains_changed(changes); });
    on(agreed, keys::challenges, [this](std::span<const state::Change>) {
        routes_stale_ = true;
        refresh_soon();
    });
    on(agreed, keys::processes,
       [this](std::span<const state::Change> changes) { processes_changed(changes); });
    for (const auto family : {keys::local_actions, keys::infos}) // the second: where the root is
        on(*own_, family, [this](std::span<const state::Change>) {
            mappings_stale_ = true;
            refresh_soon();
        });
    on(*own_, keys::statuses, [this](std::span<const state::Change>) { serving_.look_soon(); });
}

// The first change at once, those that follow together.
void Helpers::refresh_soon() {
    const auto wait = not_before_ - std::chrono::steady_clock::now();
    refresh_.arm(wait, [this] { refresh(); });
}

void Helpers::refresh() {
    not_before_ = std::chrono::steady_clock::now() + between_refreshes;
    refresh_routes();
    note_role();
    if (!std::exchange(mappings_stale_, false)) return;
    serving_.read();
    mappings_changed();
    // One that comes registers, and then reports all that it has.
    if (connector_.empty()) forget_certificates();
}

void Helpers::refresh_routes() {
    const auto changed = std::exchange(changed_routes_, {});
    if (std::exchange(routes_stale_, false) || (!changed.empty() && reports_.routes_left_out != 0))
        return refresh_all_routes();
    bool other = false;
    for (const auto& domain : changed)
        other = update_route(routes_, *view_, domain) || other;
    if (!other) return;
    RouteTable routes = std::exchange(routes_, {});
    routes.revision = view_->replica().revision();
    const std::uint64_t left_out = cut_to_fit(routes);
    take_routes(std::move(routes), left_out);
    tell(edge_, dbus::names::edge_path, dbus::names::edge_interface, "RoutesChanged");
}

void Helpers::refresh_all_routes() {
    RouteTable routes = route_table(*view_);
    const std::uint64_t left_out = cut_to_fit(routes);
    if (same_routes(routes, routes_) && left_out == reports_.routes_left_out) return;
    take_routes(std::move(routes), left_out);
    tell(edge_, dbus::names::edge_path, dbus::names::edge_interface, "RoutesChanged");
}

void Helpers::take_routes(RouteTable routes, std::uint64_t left_out) {
    routes_ = std::move(routes);
    reports_.routes_revision = routes_.revision;
    if (std::exchange(reports_.routes_left_out, left_out) != left_out && left_out != 0)
        net::log_warning(fmt::format("the edge cannot be told of {}: there are too many",
                                     counted(left_out, "name or record", "names and records")),
                         {{"FLEET_HINT", "unmap domains that are not in use: p2prc domains lists them"}});
}

void Helpers::mappings_changed() {
    Json document = connector_document(*view_, serving_.mappings());
    if (document == document_) return;
    document_ = std::move(document);
    tell(connector_, dbus::names::connector_path, dbus::names::connector_interface, "MappingsChanged");
}

// Statuses of certificates of domains that are not served here any more, once the connector has seen a table
// without them: it reports a domain anew that comes into its table, and not one that was away for a moment.
void Helpers::forget_certificates() {
    const std::string prefix = keys::certificate_prefix(view_->node());
    std::vector<std::string> old;
    for (const auto& [key, document] : own_->range(prefix))
        if (!own_mapping(std::string(key.substr(prefix.size())))) old.emplace_back(key);
    for (std::string& key : old)
        own_->erase(std::move(key));
}

// A helper that is gone gets nothing, and asks again when it is back.
void Helpers::tell(const std::string& to, const char* path, const char* interface, const char* member) {
    if (to.empty()) return;
    const auto signal = bus_->new_signal(path, interface, member);
    if (!signal || !dbus::write_value(*signal, "t", view_->replica().revision())) return;
    (void)bus_->send_to(*signal, to);
}

} // namespace p2prc::daemon
