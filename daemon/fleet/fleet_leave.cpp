// Leaving a fleet: what runs here gets its records back in a registry of this node's own.
//
// The order of the steps is such that the records are on this node's disk at each moment: packed before the
// root is asked to give them up, unpacked when its own registry has taken them in. Whatever ends p2prcd in
// between, its next start goes on from there.
#include "core/json_members.h"
#include "daemon/fleet/fleet_impl.h"
#include "net/file.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;

// The processes that run here and their domains, as the replica knows them, and as users of this node have
// changed them since while the root was away.
Json Fleet::Impl::luggage() const {
    auto processes = Json::array(), domains = Json::array();
    std::set<std::string> killed;
    const auto& agreed = replica.records();
    for (const auto name : agreed.processes_on(settings.name)) {
        auto process = *replica.get(keys::process(name));
        const auto* record = agreed.process(name)->read();
        const auto* local = record ? own.records().local_action(settings.name, record->id) : nullptr;
        if (local && !taken_in(*record, *local)) {
            if (local->is_kill()) killed.emplace(name);
            process["desired"] = local->desired() == Desired::Stopped ? "stopped" : "running";
        }
        if (!killed.contains(std::string(name))) processes.push_back(std::move(process));
    }
    for (const auto fqdn : agreed.domains_on(settings.name)) {
        const auto& mapping = agreed.domain(fqdn)->record;
        if (!killed.contains(mapping.process) || !mapping.from_file)
            domains.push_back(*replica.get(keys::domain(fqdn)));
    }
    return {{"processes", std::move(processes)}, {"domains", std::move(domains)}};
}

// What is refused as a whole comes in piece by piece: nothing that runs is left without a record because of
// another thing.
asio::awaitable<void> Fleet::Impl::take_home(Json brought) {
    const auto self = shared_from_this();
    const auto whole = co_await registry->request("fleet.import", brought);
    if (whole) co_return;
    net::log_warning("not all that this node had in its fleet can be kept: " + whole.error().message);
    for (const char* kind : {"domains", "processes"})
        for (const auto& item : brought[kind]) {
            if (stopped) co_return;
            Json one{{kind, Json::array({item})}, {"by", text_of(brought, "by")}};
            const auto taken = co_await registry->request("fleet.import", std::move(one));
            if (!taken)
                net::log_error("'" + text_of(item, kind == std::string_view("domains") ? "domain" : "name") +
                               "' is not kept: " + taken.error().message);
        }
}

// The fleet's state, which this node holds a copy of, does not list it any more.
bool Fleet::Impl::let_go() const {
    return !replica.store_id().empty() && !replica.get(keys::node(settings.name));
}

asio::awaitable<Result<void>> Fleet::Impl::leave(bool force, std::string by) {
    const auto self = shared_from_this();
    if (changing) co_return std::unexpected(busy());
    if (!settings.root) {
        const auto nodes = replica.records().nodes().size();
        if (nodes > 1)
            co_return fail(ErrorCode::Conflict, "this is the root, and its fleet has other members",
                           "remove them first: p2prc nodes rm NAME");
        co_return fail(ErrorCode::Conflict, "this node is in no fleet with others",
                       "there is nothing to leave");
    }
    const Changing guard(changing);
    const Changing between(moving);
    auto bring = luggage();
    // The root has let this node go, which empties the replica, and its answer was lost.
    if (const auto packed = luggage_file.load(); let_go() && packed && *packed) bring = **packed;
    bring["by"] = by;
    if (const auto packed = luggage_file.pack(bring); !packed) co_return packed;
    leaving = true;
    Json params{{"by", by}};
    co_await link->wait_back();
    if (stopped) co_return fail(ErrorCode::Unreachable, "p2prcd is being stopped");
    const auto left = co_await link->request("node.leave", std::move(params));
    if (stopped) co_return fail(ErrorCode::Unreachable, "p2prcd is being stopped");
    if (!left && !force) {
        auto error = left.error();
        // After any other word than a refusal it may have let this node go all the same.
        if (error.code != ErrorCode::Unreachable && error.code != ErrorCode::NotPermitted) unpack();
        if (error.code == ErrorCode::Unreachable)
            error.hint = "p2prc leave --force leaves without it; the fleet then lists this node as lost "
                         "until somebody "
                         "removes it";
        co_return std::unexpected(error);
    }
    if (!left) net::log_notice("leaving without the root: " + left.error().message);
    co_return co_await come_home(std::move(bring));
}

// From here on the node is alone, whatever else goes wrong.
asio::awaitable<Result<void>> Fleet::Impl::come_home(Json brought) {
    const auto self = shared_from_this();
    // One that is left of a join which did not come to its end is of before this fleet.
    if (const auto removed = remove_registry(); !removed) co_return removed;
    FleetSettings alone{settings.name, {}};
    if (const auto saved = save_settings(settings_file(), alone); !saved) co_return saved;
    settings.root.reset();
    link.reset();
    seen_from.clear();
    root_address.reset();
    latency_ms.reset();
    // It is in the luggage; the ids of the next registry are other processes'.
    std::vector<state::Change> noted;
    for (const auto& [key, value] : own.range(keys::local_actions))
        noted.push_back({std::string(key), {}, 0});
    own.update(std::move(noted));
    if (const auto started = co_await start_registry(std::move(brought)); !started) co_return started;
    unpack();
    refresh_info();
    const auto off = co_await roles.turn_off(MachineRole::Connector);
    if (!off) net::log_warning("the connector cannot be turned off: " + off.error().message);
    net::log_notice("left the fleet");
    co_return Result<void>();
}

void Fleet::Impl::unpack() {
    leaving = false;
    if (const auto removed = luggage_file.remove(); !removed) net::log_error(removed.error().message);
}

// A leave to which there was no answer has come about, or it has not: the link tells.
void Fleet::Impl::settle_leave(bool refused) {
    if (!leaving || changing) return;
    if (refused || let_go()) {
        asio::co_spawn(executor, finish_leave(shared_from_this()),
                       net::ReportFailure("going on with a leave"));
        return;
    }
    net::log_notice(
        "this node is still a member of the fleet that it was leaving; to leave it, say p2prc leave "
        "again");
    unpack();
}

asio::awaitable<void> Fleet::Impl::finish_leave(std::shared_ptr<Impl> /* keeps it alive */) {
    if (stopped || changing) co_return;
    const Changing guard(changing);
    const Changing between(moving);
    auto packed = luggage_file.load();
    Result<void> done;
    if (!packed)
        done = std::unexpected(packed.error());
    else if (*packed)
        done = co_await come_home(std::move(**packed));
    if (!done) net::log_error("the fleet cannot be left: " + done.error().message);
}

} // namespace p2prc::daemon
