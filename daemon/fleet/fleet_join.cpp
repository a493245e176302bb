// Joining a fleet, and telling a member where its root is now.
#include "core/json_members.h"
#include "core/names.h"
#include "daemon/fleet/fleet_impl.h"
#include "daemon/fleet/root_addresses.h"
#include "link/join.h"
#include "net/clock.h"
#include "net/log.h"

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;

// Why no change of this kind can begin now, in words for people.
Result<void> Fleet::Impl::begin(RoleEvent event) {
    if (const auto begun = role_change.take(event); begun || role_change.under_way() || role_change.stopped())
        return begun;
    if (root && root->lost() && event != RoleEvent::Leave) return std::unexpected(*root->lost());
    if (is_member())
        return fail(ErrorCode::Conflict, "this node is a member of the fleet of " + node->settings.root->zone,
                    "leave it first: p2prc leave");
    if (node->replica.records().nodes().size() > 1)
        return fail(ErrorCode::Conflict, "this is the root, and its fleet has other members",
                    "remove them first: p2prc nodes rm NAME");
    return fail(ErrorCode::Conflict, "this node is in no fleet with others", "there is nothing to leave");
}

void Fleet::Impl::make_member() {
    MemberEvents events;
    const auto weak = weak_from_this();
    events.link_changed = [weak](bool up, const std::string& reason) {
        const auto self = weak.lock();
        if (self && self->node->options.link_changed) self->node->options.link_changed(up, reason);
        if (self && up) self->settle_leave(false);
    };
    events.refused = [weak] {
        if (const auto self = weak.lock()) self->settle_leave(true);
    };
    events.learned = [weak] {
        if (const auto self = weak.lock()) self->refresh_info();
    };
    member = std::make_shared<Member>(node, std::move(events));
}

asio::awaitable<Result<Json>> Fleet::Impl::join(std::string text, std::string name) {
    const auto self = shared_from_this();
    const auto token = link::decode_token(text);
    if (!token) co_return std::unexpected(token.error());
    if (token->root_key == node->key() && !role_change.under_way() && !role_change.is(RoleState::NoRegistry))
        co_return fail(ErrorCode::Conflict, "this is the root of that fleet",
                       "use the token on another machine");
    const bool here_already = is_member() && node->settings.root->key == token->root_key;
    if (const auto begun = begin(here_already ? RoleEvent::Rejoin : RoleEvent::Join); !begun)
        co_return std::unexpected(begun.error());
    Result<void> joined;
    if (here_already)
        joined = follow_root(*token, name);
    else
        joined = co_await become_member(*token, name);
    // Who is a member already was removed if the root refuses its key even once.
    if (joined) joined = co_await wait_connected(here_already ? 1 : refusals_believed);
    end_connecting();
    if (!joined) co_return std::unexpected(joined.error());
    Json result{{"name", node->name()}, {"domain", token->zone}};
    if (const auto fleet = node->fleet_record()) result["root"] = fleet->root;
    co_return result;
}

asio::awaitable<Result<void>> Fleet::Impl::become_member(const link::JoinToken& token, std::string name) {
    const RoleChangeEnd otherwise(role_change, RoleEvent::RegistryKept);
    if (name.empty()) name = node->name();
    if (const auto checked = check_node_name(name); !checked) co_return checked;
    const auto registry = root->registry();
    Json none = Json::object();
    auto params = co_await registry->request("fleet.export", std::move(none));
    if (!params) co_return std::unexpected(params.error());
    (*params)["name"] = name;
    if (const auto record = node->replica.get(keys::node(node->name())))
        (*params)["connector_key"] = json::member<std::string>(*record, "connector_key");
    const auto admitted = co_await link::redeem(node->executor, token, *node->identity, std::move(*params));
    if (!admitted) co_return std::unexpected(admitted.error());
    if (role_change.stopped()) co_return std::unexpected(p2prcd_is_stopping());

    // From here on we are a member, whatever else goes wrong: the registry there has our processes.
    FleetSettings joined{json::member<std::string>(*admitted, "name"),
                         RootReference{token.root_key, token.zone, token.addresses}};
    // The root may not choose what could not be read again.
    if (!check_node_name(joined.name)) joined.name = name;
    if (const auto saved = node->save_settings(joined); !saved) co_return saved;
    const auto left = std::exchange(root, nullptr);
    co_await left->close_file();
    if (role_change.stopped()) co_return std::unexpected(p2prcd_is_stopping());
    if (const auto removed = node->remove_registry_file(); !removed)
        net::log_warning(removed.error().message);
    node->settings.root = joined.root;
    rename(joined.name);
    // Of a tunnel in a fleet before, nothing is kept.
    const auto now = net::now_rfc3339();
    node->own.set(keys::tunnel(node->name()), {{"up", false}, {"since", now}, {"connecting", now}});
    net::log_notice("joined the fleet of " + token.zone + " as " + node->name());
    make_member();
    member->dial();
    // It was the root of a fleet of its own: a member has no edge.
    if (roles.on(MachineRole::Edge)) {
        const auto off = co_await roles.turn_off(MachineRole::Edge);
        if (!off) net::log_warning("the edge cannot be turned off: " + off.error().message);
    }
    co_return role_change.take(RoleEvent::Admitted);
}

// The root may have moved: the token says where it is now.
Result<void> Fleet::Impl::follow_root(const link::JoinToken& token, const std::string& name) {
    if (!name.empty()) {
        if (const auto checked = check_node_name(name); !checked) return checked;
        if (name != node->name())
            return fail(ErrorCode::Conflict, "this node is in that fleet already, as '" + node->name() + "'",
                        "to have another name, leave it (p2prc leave) and join again");
    }
    auto& known = node->settings.root->addresses;
    auto addresses = token.addresses;
    for (const auto& endpoint : known)
        if (std::ranges::find(addresses, endpoint) == addresses.end()) addresses.push_back(endpoint);
    if (addresses.size() > most_root_addresses) addresses.resize(most_root_addresses);
    known = std::move(addresses);
    if (const auto saved = node->save_settings(node->settings); !saved) return saved;
    member->link()->network_changed();
    return {};
}

asio::awaitable<Result<void>> Fleet::Impl::wait_connected(int refusals) {
    // Also when the link takes longer than anybody waits for here.
    const auto connected = co_await roles.turn_on(MachineRole::Connector);
    if (role_change.stopped()) co_return std::unexpected(p2prcd_is_stopping());
    const auto up = co_await link()->wait_up(node->options.link_timing.join, refusals);
    if (!up && up.error().code == ErrorCode::NotPermitted) co_return up;
    if (!up)
        co_return fail(up.error().code, "this node has joined, but its link is not up: " + up.error().message,
                       "it keeps trying; see p2prc status");
    refresh_info();
    if (!connected)
        co_return fail(connected.error().code,
                       "this node has joined, but no domain reaches it: " + connected.error().message,
                       connected.error().hint + "; then run p2prc join again");
    co_return Result<void>();
}

// A leave that had no answer before is open still.
void Fleet::Impl::end_connecting() {
    if (!role_change.is(RoleState::Connecting)) return;
    (void)role_change.take(membership());
    if (gateway.reachable()) settle_leave(false);
}

RoleEvent Fleet::Impl::membership() const {
    return handover_file.exists() ? RoleEvent::Unanswered : RoleEvent::Belongs;
}

} // namespace p2prc::daemon
