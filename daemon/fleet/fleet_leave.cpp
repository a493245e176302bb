// Leaving a fleet: what runs here gets its records back in a registry of this node's own.
//
// The records are on this node's disk at each moment: in the handover file before the root is asked to give
// them up, until its own registry has taken them in. See daemon/fleet/role_change.h for where the next start
// continues.
#include "daemon/fleet/fleet_impl.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;

// The processes that run here and their domains, as the replica knows them, and as users of this node have
// changed them since while the root was away.
Json Fleet::Impl::export_records() const {
    auto processes = Json::array(), domains = Json::array();
    std::set<std::string> killed;
    const auto& agreed = node->replica.records();
    for (const auto name : agreed.processes_on(node->name())) {
        auto process = *node->replica.get(keys::process(name));
        const auto* record = agreed.process(name)->read();
        const auto* local = record ? node->own.records().local_action(node->name(), record->id) : nullptr;
        if (local && !taken_in(*record, *local)) {
            if (local->is_kill()) killed.emplace(name);
            process["desired"] = local->desired() == Desired::Stopped ? "stopped" : "running";
        }
        if (!killed.contains(std::string(name))) processes.push_back(std::move(process));
    }
    for (const auto fqdn : agreed.domains_on(node->name())) {
        const auto& mapping = agreed.domain(fqdn)->record;
        if (!killed.contains(mapping.process) || !mapping.from_file)
            domains.push_back(*node->replica.get(keys::domain(fqdn)));
    }
    return {{"processes", std::move(processes)}, {"domains", std::move(domains)}};
}

asio::awaitable<Result<void>> Fleet::Impl::leave(bool force, std::string by) {
    const auto self = shared_from_this();
    if (const auto begun = begin(RoleEvent::Leave); !begun) co_return begun;
    auto handover = export_records();
    // The root has let this node go, which empties the replica, and its answer was lost.
    if (const auto kept = handover_file.read(); node->is_released() && kept && *kept) handover = **kept;
    handover["by"] = by;
    if (const auto written = handover_file.write(handover); !written) {
        (void)role_change.take(membership());
        co_return written;
    }
    Json params{{"by", by}};
    co_await link()->wait_back();
    if (role_change.stopped()) co_return std::unexpected(p2prcd_is_stopping());
    const auto left = co_await link()->request("node.leave", std::move(params));
    if (role_change.stopped()) co_return std::unexpected(p2prcd_is_stopping());
    if (!left && !force) {
        auto error = left.error();
        // After any other word than a refusal it may have let this node go all the same.
        const bool open = error.code == ErrorCode::Unreachable || error.code == ErrorCode::NotPermitted;
        (void)role_change.take(open ? RoleEvent::Unanswered : RoleEvent::Belongs);
        if (!open) remove_handover();
        if (error.code == ErrorCode::Unreachable)
            error.hint =
                "p2prc leave --force leaves without it; unless this node was removed, the fleet then "
                "lists it as lost until somebody removes it";
        co_return std::unexpected(error);
    }
    if (!left) net::log_notice("leaving without the root: " + left.error().message);
    if (const auto released = role_change.take(RoleEvent::Released); !released) co_return released;
    co_return co_await return_home(std::move(handover));
}

// What keeps the node a member leaves the change open; from where its settings name no root any more, it is
// alone, whatever else goes wrong.
asio::awaitable<Result<void>> Fleet::Impl::return_home(Json handover) {
    const auto self = shared_from_this();
    // A file that is left of a join which did not come to its end is of before this fleet.
    auto alone = node->remove_registry_file();
    if (alone) alone = node->save_settings({node->name(), {}});
    if (!alone) {
        if (member) (void)role_change.take(RoleEvent::Unanswered);
        co_return alone;
    }
    node->settings.root.reset();
    member.reset();
    // It is in the handover; the ids of the next registry are other processes'.
    std::vector<state::Change> noted;
    for (const auto& [key, value] : node->own.range(keys::local_actions))
        noted.push_back({std::string(key), {}, 0});
    node->own.update(std::move(noted));
    if (const auto opened = co_await open_own_registry(std::move(handover)); !opened) co_return opened;
    if (role_change.is(RoleState::Root)) remove_handover();
    refresh_info();
    const auto off = co_await roles.turn_off(MachineRole::Connector);
    if (!off) net::log_warning("the connector cannot be turned off: " + off.error().message);
    net::log_notice("left the fleet");
    co_return Result<void>();
}

asio::awaitable<Result<void>> Fleet::Impl::open_own_registry(Json handover) {
    const auto self = shared_from_this();
    root = std::make_shared<Root>(node);
    const auto opening = root;
    const auto opened = co_await opening->open(std::move(handover));
    const auto now = role_change.take(opening->lost() ? RoleEvent::RegistryLost : RoleEvent::RegistryOpened);
    co_return opened ? now : opened;
}

void Fleet::Impl::remove_handover() {
    if (const auto removed = handover_file.remove(); !removed) net::log_error(removed.error().message);
}

// A leave to which there was no answer has come about, or it has not: the link tells.
void Fleet::Impl::settle_leave(bool refused) {
    if (!role_change.is(RoleState::LeavePending)) return;
    if (refused || node->is_released()) {
        asio::co_spawn(node->executor, finish_leave(shared_from_this()),
                       net::ReportFailure("going on with a leave"));
        return;
    }
    net::log_notice(
        "this node is still a member of the fleet that it was leaving; to leave it, run p2prc leave "
        "again");
    (void)role_change.take(RoleEvent::Belongs);
    remove_handover();
}

asio::awaitable<void> Fleet::Impl::finish_leave(std::shared_ptr<Impl> /* keeps it alive */) {
    if (!role_change.take(RoleEvent::Released)) co_return;
    auto handover = handover_file.read();
    Result<void> done;
    if (handover && *handover) {
        done = co_await return_home(std::move(**handover));
    } else {
        (void)role_change.take(RoleEvent::Unanswered);
        if (!handover) done = std::unexpected(handover.error());
    }
    if (!done) net::log_error("the fleet cannot be left: " + done.error().message);
}

} // namespace p2prc::daemon
