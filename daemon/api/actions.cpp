#include "daemon/api/actions.h"

#include "core/json_members.h"
#include "core/names.h"
#include "core/process_status.h"
#include "daemon/fleet/local_spin.h"
#include "net/clock.h"
#include "net/log.h"
#include "process/port_target.h"
#include "process/unit_names.h"
#include "state/find_process.h"
#include "state/origins.h"
#include "state/pauses.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr const char* verb_name(Verb verb) {
    switch (verb) {
    case Verb::Stop:
        return "stop";
    case Verb::Start:
        return "start";
    case Verb::Restart:
        return "restart";
    case Verb::Kill:
        break;
    }
    return "kill";
}

constexpr Goal goal_of(Verb verb, const WaitFor& wait) {
    return verb == Verb::Stop ? Goal::Stopped : verb == Verb::Kill ? Goal::Gone : wait.goal;
}

// What the reconciler does not accept it does not stop either.
Result<void> acted_upon(const View& view, const ProcessRecord& record) {
    const auto* entry = view.replica().records().process(record.name);
    if (!entry || !entry->refused) return {};
    const auto* status = view.status(record);
    const auto turn = status ? process::turn_of(*status) : process::Turn::First;
    return fail(entry->refused->code, entry->refused->message,
                fmt::format("systemctl stop {} ends what runs", process::unit_name(record.name, turn)));
}

// Ports of this machine that a process whose port is chosen must not get: somebody listens there.
Json ports_in_use() {
    std::set<std::uint16_t> ports;
    for (const auto& listener : net::tcp_listeners().value_or(std::vector<net::Listener>()))
        ports.insert(listener.port);
    return ports;
}

// Its next revision may be started beside what runs, with a port of its own.
void add_ports_in_use(Json& params, const View& view, const ProcessRecord& record) {
    if (record.node == view.node()) params["ports_in_use"] = ports_in_use();
}

// The node that a spin is for must be able to take it now: nothing is recorded that then hangs.
Result<void> check_node(const View& view, const std::string& node) {
    if (node == view.node()) return {};
    if (!view.node_record(node)) {
        std::vector<std::string> known;
        for (const NodeRecord& record : view.nodes())
            known.push_back(record.name);
        return std::unexpected(state::no_such_node(node, known));
    }
    if (view.live(node) == "lost")
        return fail(ErrorCode::Unreachable, "node '" + node + "' is lost",
                    "'p2prc nodes' shows which nodes are up");
    return {};
}

Result<void> check_options(const Json& options) {
    for (const auto& [key, value] : options.items()) {
        if (key == "tls") {
            if (!value.is_string()) return fail(ErrorCode::InvalidSpec, "option 'tls' is not text");
            if (value == "none")
                return fail(ErrorCode::NotSupported, "tls 'none' is not in this version",
                            "use 'node' or 'passthrough'");
            if (value != "node" && value != "passthrough")
                return fail(ErrorCode::InvalidSpec, "tls is '" + value.get<std::string>() + "'",
                            "use 'node' or 'passthrough'");
        } else if (key == "port") {
            if (!value.is_number_integer() || value < 1 || value > 65535)
                return fail(ErrorCode::InvalidSpec, "option 'port' is not a port", "1 to 65535");
        } else if (key == "to" || key == "via") {
            return fail(ErrorCode::NotSupported, "mapping a domain to another device is not in this version");
        } else {
            return fail(ErrorCode::InvalidSpec, "there is no option '" + key + "'",
                        "the options are tls, port");
        }
    }
    return {};
}

// What its status says before it is acted upon.
void remember(const View& view, Awaited& awaited) {
    const auto* status = view.status(awaited.node, awaited.id);
    if (!status) return;
    awaited.restarts = status->restarts;
    awaited.reason = status->reason;
}

} // namespace

Actions::Actions(FleetControl& fleet, const View& view, state::OwnState& own, Waits& waits,
                 CheckSpec check_spec, ApplyLimits apply_limits, CleanDeployments clean_deployments)
    : fleet_(&fleet)
    , view_(&view)
    , own_(&own)
    , waits_(&waits)
    , check_spec_(std::move(check_spec))
    , apply_limits_(std::move(apply_limits))
    , clean_deployments_(std::move(clean_deployments)) {}

std::string Actions::by(const std::string& user) const {
    return user + "@" + view_->node();
}

// Other processes of the fleet are the registry's to name, which knows them also while they are stopped.
Result<void> Actions::check_port(const ProcessSpec& spec) const {
    const auto port = spec.port.value_or(0);
    if (port == 0) return {};
    const auto& agreed = view_->replica().records();
    for (const auto name : agreed.processes_on(view_->node()))
        if (const auto* process = view_->process(name); process && process->port == port) return {};
    return process::check_port_is_free(port, spec.name);
}

Result<void> Actions::check_here(const ProcessSpec& spec) const {
    if (check_spec_)
        if (auto checked = check_spec_(spec); !checked) return checked;
    return check_port(spec);
}

// What the registry is asked. Where it chooses the node, it is told why that cannot be this one; where it is
// to be this one, that is refused here.
Result<Json> Actions::spin_params(const ProcessSpec& spec, const std::string& node,
                                  const std::string& user) const {
    // Another file of a process that is there is an update of it, wherever that is.
    const auto* there = node.empty() ? view_->process(spec.name) : nullptr;
    const bool choose = node.empty() && !there && is_placed(spec);
    const auto wanted = there ? there->node : choose || !node.empty() ? node : view_->node();
    if (!choose)
        if (const auto fits = check_node(*view_, wanted); !fits) return std::unexpected(fits.error());
    Json params = {{"spec", spec_to_document(spec)}, {"node", wanted}, {"by", by(user)}};
    if (!choose && wanted != view_->node()) return params;
    if (const auto good = check_here(spec); !good) {
        if (!choose) return std::unexpected(good.error());
        params["refused_here"] = {{"message", good.error().message}, {"hint", good.error().hint}};
    }
    if (spec.port == 0) params["ports_in_use"] = ports_in_use();
    return params;
}

// A new process may be for any node: each is judged, and this one by itself. An update is for where it runs.
Result<Json> Actions::explain_params(const ProcessSpec& spec, const std::string& node,
                                     const std::string& user) const {
    if (view_->process(spec.name)) return spin_params(spec, node, user);
    const auto wanted = node.empty() && !is_placed(spec) ? view_->node() : node;
    Json params = {{"spec", spec_to_document(spec)}, {"node", wanted}, {"by", by(user)}};
    if (const auto good = check_here(spec); !good)
        params["refused_here"] = {{"message", good.error().message}, {"hint", good.error().hint}};
    if (spec.port == 0) params["ports_in_use"] = ports_in_use();
    return params;
}

// What is for this node, or may be, is noted as asked for here.
asio::awaitable<Result<Json>> Actions::ask_to_spin(ProcessSpec spec, Json params) {
    const auto node = json::member<std::string>(params, "node");
    if (node.empty() || node == view_->node())
        co_return co_await spin_here(*fleet_, *own_, view_->replica(), view_->node(), std::move(spec),
                                     std::move(params));
    std::string method = "process.spin";
    co_return co_await fleet_->gateway().request(std::move(method), std::move(params));
}

asio::awaitable<Result<std::uint32_t>> Actions::spin(Json document, std::string node, std::string user,
                                                     WaitFor wait) {
    const auto spec = spec_from_document(document);
    if (!spec) co_return std::unexpected(spec.error());
    auto params = spin_params(*spec, node, user);
    if (!params) co_return std::unexpected(params.error());
    const auto result = co_await ask_to_spin(*spec, std::move(*params));
    if (!result) co_return std::unexpected(result.error());
    Awaited awaited;
    awaited.id = json::member<std::uint32_t>(*result, "id");
    awaited.name = spec->name;
    awaited.node = json::member<std::string>(*result, "node", node);
    awaited.goal = wait.goal;
    awaited.timeout = wait_time(wait, *spec);
    if (result->contains("revision")) {
        if (const auto done = co_await wait_for_update(*result, *spec, wait); !done)
            co_return std::unexpected(done.error());
        co_return awaited.id;
    }
    if (!json::member<bool>(*result, "created")) { // said again
        const auto* record = view_->process(spec->name);
        if (!record || record->desired != Desired::Running) co_return awaited.id;
        remember(*view_, awaited);
    }
    // The commit may come back after its answer; until then there is no record to be missed.
    const auto placed = co_await waits_->until_recorded(awaited);
    if (!placed) co_return std::unexpected(placed.error());
    const auto done = co_await waits_->until(awaited);
    if (!done) co_return std::unexpected(done.error());
    co_return awaited.id;
}

asio::awaitable<Result<void>> Actions::wait_for_update(const Json& answer, ProcessSpec spec, WaitFor wait) {
    Awaited awaited;
    awaited.id = json::member<std::uint32_t>(answer, "id");
    awaited.name = json::member<std::string>(answer, "name");
    awaited.node = json::member<std::string>(answer, "node");
    awaited.change = json::member<std::uint64_t>(answer, "change");
    awaited.revision = json::member<std::uint32_t>(answer, "revision");
    awaited.goal = wait.goal;
    awaited.timeout = update_wait_time(wait, spec);
    // The commit may come back after its answer; until then its revision is not the record's.
    if (const auto placed = co_await waits_->until_recorded(awaited); !placed)
        co_return std::unexpected(placed.error());
    const auto* record = view_->process(awaited.name);
    // What is stopped runs the revision when it is started; a node that is away, when it is back.
    if (!record || record->desired != Desired::Running || view_->live(awaited.node) == "lost")
        co_return Result<void>{};
    remember(*view_, awaited);
    awaited.restarts = 0; // counted anew
    co_return co_await waits_->until(awaited);
}

asio::awaitable<Result<std::uint32_t>> Actions::roll_back(std::string process, std::uint32_t revision,
                                                          std::string user, WaitFor wait) {
    const auto record = view_->find_process(process);
    if (!record) co_return std::unexpected(record.error());
    Json params = {{"process", std::to_string(record->id)}, {"revision", revision}, {"by", by(user)}};
    add_ports_in_use(params, *view_, *record);
    const auto* earlier = former_revision(*record, revision);
    auto spec = earlier ? earlier->spec : record->spec;
    std::string method = "process.rollback";
    auto answer = co_await fleet_->gateway().request(std::move(method), std::move(params));
    co_return co_await revised(std::move(answer), std::move(spec), wait);
}

asio::awaitable<Result<std::uint32_t>> Actions::redeploy(std::string process, std::string user,
                                                         WaitFor wait) {
    const auto record = view_->find_process(process);
    if (!record) co_return std::unexpected(record.error());
    Json params = {{"process", std::to_string(record->id)}, {"by", by(user)}};
    add_ports_in_use(params, *view_, *record);
    if (record->node == view_->node()) {
        auto answer = co_await redeploy_here(*fleet_, *own_, *record, std::move(params));
        co_return co_await revised(std::move(answer), record->spec, wait);
    }
    std::string method = "process.redeploy";
    auto answer = co_await fleet_->gateway().request(std::move(method), std::move(params));
    co_return co_await revised(std::move(answer), record->spec, wait);
}

// `spec`: for its limits of time alone.
asio::awaitable<Result<std::uint32_t>> Actions::revised(Result<Json> answer, ProcessSpec spec, WaitFor wait) {
    if (!answer) co_return std::unexpected(answer.error());
    if (const auto done = co_await wait_for_update(*answer, std::move(spec), wait); !done)
        co_return std::unexpected(done.error());
    co_return json::member<std::uint32_t>(*answer, "revision");
}

asio::awaitable<Result<Json>> Actions::clean_deployments(std::string process) {
    std::string name;
    if (!process.empty()) {
        const auto record = view_->find_process(process);
        if (!record) co_return std::unexpected(record.error());
        name = record->name;
        if (record->node != view_->node())
            co_return fail(ErrorCode::Conflict,
                           fmt::format("process '{}' runs on node '{}': what its deployer has left is there",
                                       name, record->node),
                           fmt::format("on {}: p2prc deploy --clean {}", record->node, name));
        const auto has_deployer = [](const ProcessSpec& spec) { return !spec.deploy.strategy.empty(); };
        if (!has_deployer(record->spec) &&
            std::ranges::none_of(record->former, has_deployer, &Revision::spec))
            co_return fail(ErrorCode::InvalidSpec,
                           fmt::format("process '{}' has no deployer that could have left something", name),
                           "p2prc deploy --clean removes what all have left on this machine");
    }
    if (!clean_deployments_) co_return fail(ErrorCode::NotSupported, "nothing is deployed here");
    co_return co_await clean_deployments_(std::move(name));
}

asio::awaitable<Result<Json>> Actions::explain(Json document, std::string node, std::string user) {
    const auto spec = spec_from_document(document);
    if (!spec) co_return std::unexpected(spec.error());
    auto params = explain_params(*spec, node, user);
    if (!params) co_return std::unexpected(params.error());
    co_await fleet_->wait_back();
    std::string method = "process.explain";
    co_return co_await fleet_->gateway().request(std::move(method), std::move(*params));
}

asio::awaitable<Result<void>> Actions::label_node(std::string node, Json set, Json remove, std::string user) {
    std::string method = "node.label";
    Json params = {{"node", node}, {"set", set}, {"remove", remove}, {"by", by(user)}};
    const auto done = co_await fleet_->gateway().request(std::move(method), std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>{};
}

asio::awaitable<Result<void>> Actions::describe_node(std::string node, Json custom, std::string user) {
    std::string method = "node.custom";
    Json params = {{"node", node}, {"custom", custom}, {"by", by(user)}};
    const auto done = co_await fleet_->gateway().request(std::move(method), std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>{};
}

asio::awaitable<Result<void>> Actions::describe_process(std::string process, Json custom, std::string user) {
    std::string method = "process.custom";
    Json params = {{"process", process}, {"custom", custom}, {"by", by(user)}};
    const auto done = co_await fleet_->gateway().request(std::move(method), std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>{};
}

// A record of the action in the own state, which the reconciler follows and the registry takes in later.
asio::awaitable<Result<std::uint64_t>> Actions::act_here(Verb verb, ProcessRecord record, std::string by) {
    const std::string key = keys::local_action(record.node, record.id);
    const auto earlier = own_->get(key);
    const LocalAction action{
        .id = record.id,
        .action = std::string(verb_name(verb)),
        .sequence =
            1 + std::max(folded_sequence(record), earlier ? local_action_from_json(*earlier).sequence : 0),
        .by = by,
        .at = net::now_rfc3339()};
    own_->set(key, to_json(action));
    const auto kept = co_await own_->flush();
    if (!kept) co_return std::unexpected(kept.error());
    co_return change_with(record, action);
}

asio::awaitable<Result<void>> Actions::act(Verb verb, std::string process, std::string user, WaitFor wait) {
    auto record = view_->find_process(process);
    const auto offered = !record && verb == Verb::Kill ? view_->offered(process) : std::nullopt;
    if (offered) record = *offered;
    if (!record) co_return std::unexpected(record.error());
    // To start what runs already must not become a restart.
    const auto* status = view_->status(*record);
    const bool runs = status && is_executed(*status);
    Awaited awaited;
    awaited.id = record->id;
    awaited.name = record->name;
    awaited.node = record->node;
    awaited.goal = goal_of(verb, wait);
    if (verb == Verb::Start || verb == Verb::Restart) awaited.timeout = wait_time(wait, record->spec);
    remember(*view_, awaited);
    if (verb == Verb::Start && runs) co_return co_await waits_->until(awaited);
    awaited.restarts = 0; // counted anew
    Json params = {{"process", std::to_string(record->id)}, {"by", by(user)}};
    const std::string method = std::string("process.") + verb_name(verb);
    const auto result = co_await fleet_->gateway().request(method, std::move(params));
    if (result) {
        awaited.change = json::member<std::uint64_t>(*result, "change");
    } else if (result.error().code == ErrorCode::Unreachable && record->node == view_->node() && !offered) {
        if (const auto good = acted_upon(*view_, *record); !good) co_return std::unexpected(good.error());
        const auto change = co_await act_here(verb, *record, by(user));
        if (!change) co_return std::unexpected(change.error());
        awaited.change = *change;
    } else {
        co_return std::unexpected(result.error());
    }
    // Recorded; a node that is away does it when it is back.
    if (view_->live(awaited.node) != "up") co_return Result<void>{};
    co_return co_await waits_->until(awaited);
}

Result<ProcessRecord> Actions::find_here(const std::string& process, std::string_view verb) const {
    auto record = view_->find_process(process);
    if (!record) return record;
    if (record->node != view_->node())
        return fail(
            ErrorCode::NotPermitted,
            fmt::format("process '{}' runs on node '{}'; only the owner of a machine can {} what runs "
                        "there",
                        record->name, record->node, verb),
            fmt::format("on {}: p2prc {} {}", record->node, verb, record->name));
    if (const auto good = acted_upon(*view_, *record); !good) return std::unexpected(good.error());
    return record;
}

asio::awaitable<Result<void>> Actions::pause(std::string process, std::string user) {
    const auto record = find_here(process, "pause");
    if (!record) co_return std::unexpected(record.error());
    state::Pauses(*own_).pause(*record, {by(user), net::now_rfc3339()});
    if (const auto kept = co_await own_->flush(); !kept) co_return kept;
    Awaited awaited{record->id, record->name, record->node};
    awaited.goal = Goal::Paused;
    co_return co_await waits_->until(awaited);
}

asio::awaitable<Result<void>> Actions::await_resumed(ProcessRecord record, WaitFor wait) {
    Awaited awaited{record.id, record.name, record.node};
    awaited.goal = Goal::Resumed;
    if (const auto gone_on = co_await waits_->until(awaited); !gone_on) co_return gone_on;
    // The pause is over, and no news.
    remember(*view_, awaited);
    awaited.goal = wait.goal;
    awaited.timeout = wait_time(wait, record.spec);
    co_return co_await waits_->until(awaited);
}

asio::awaitable<Result<void>> Actions::resume(std::string process, std::string user, WaitFor wait) {
    const auto record = find_here(process, "resume");
    if (!record) co_return std::unexpected(record.error());
    const auto* status = view_->status(*record);
    const bool was_paused = status && status->state == ProcessState::Paused;
    state::Pauses pauses(*own_);
    const bool resumed = pauses.resume(*record);
    if (const auto kept = co_await own_->flush(); !kept) co_return kept;
    if (resumed) net::log_notice(fmt::format("process '{}' was resumed by {}", record->name, by(user)));
    if (const auto rest = pauses.of(*record, state::Origins(*own_).spinner(*record, view_->node())))
        co_return fail(
            ErrorCode::Conflict,
            fmt::format("all processes of '{}' are paused by {} since {}", rest->owner, rest->by, rest->at),
            fmt::format("p2prc resume --owner {}", rest->owner));
    if (!was_paused || record->desired != Desired::Running) co_return Result<void>{};
    co_return co_await await_resumed(*record, wait);
}

asio::awaitable<Result<std::string>> Actions::map_domain(std::string domain, std::string process,
                                                         Json options, std::string user) {
    const auto name = normalize_domain(domain);
    if (!name) co_return std::unexpected(name.error());
    if (const auto checked = check_options(options); !checked) co_return std::unexpected(checked.error());
    Json params = {{"domain", *name},
                   {"process", process.empty() ? name->substr(0, name->find('.')) : process},
                   {"tls", json::member<std::string>(options, "tls", "node")},
                   {"by", by(user)}};
    if (options.contains("port")) params["port"] = options["port"];
    const auto result = co_await fleet_->gateway().request("domain.map", std::move(params));
    if (!result) co_return std::unexpected(result.error());
    co_return *name;
}

asio::awaitable<Result<void>> Actions::unmap_domain(std::string domain, std::string user) {
    const auto name = normalize_domain(domain);
    if (!name) co_return std::unexpected(name.error());
    Json params = {{"domain", *name}, {"by", by(user)}};
    const auto result = co_await fleet_->gateway().request("domain.unmap", std::move(params));
    if (result) co_return Result<void>{};
    Error error = result.error();
    if (error.code == ErrorCode::NotFound) {
        std::vector<std::string_view> mapped;
        for (const DomainRecord& record : view_->domains())
            mapped.push_back(record.domain);
        if (const auto near = nearest_domain(*name, mapped); !near.empty())
            error.hint = fmt::format("did you mean '{}'? p2prc domains lists them", near);
    }
    co_return std::unexpected(std::move(error));
}

} // namespace p2prc::daemon
