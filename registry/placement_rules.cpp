// Where a process is spun: the nodes as the registry knows them, judged by registry/placement.h.
#include "core/json_members.h"
#include "core/remote_spin.h"
#include "core/text.h"
#include "net/clock.h"
#include "registry/rules.h"
#include "state/find_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace p2prc::registry::rules {
namespace {

// Until a process has grown and its node has measured and reported that.
constexpr std::int64_t slow_report = 120; // seconds

std::uint64_t promised_on(const Request& request, const std::string& node) {
    std::uint64_t sum = 0;
    for (const auto& process : request.draft.processes_on(node)) {
        const auto created = net::from_rfc3339(process.created_at);
        if (!created || process.desired != Desired::Running) continue;
        const auto since =
            std::chrono::duration_cast<std::chrono::seconds>(created->time_since_epoch()).count();
        if (request.now - since > slow_report || since > request.now + slow_report) continue;
        const auto bytes = std::max(process.spec.limits.memory_bytes.value_or(0),
                                    process.spec.placement.require.memory_bytes.value_or(0));
        sum = sum > UINT64_MAX - bytes ? UINT64_MAX : sum + bytes;
    }
    return sum;
}

std::optional<Obstacle> port_obstacle(const Request& request, const std::string& node,
                                      const ProcessSpec& spec) {
    const auto as_obstacle = [](const Error& error) { return Obstacle{"port", error.message, error.hint}; };
    const bool owner = request.is_owner();
    if (auto free = check_further_ports(request.draft, node, spec.name, spec.ports, owner); !free)
        return as_obstacle(free.error());
    if (auto port = bind_port(request.draft, node, spec.name, spec.port, owner); !port)
        return as_obstacle(port.error());
    return std::nullopt;
}

// Its last results stay for some time (process/deployed.h).
bool may_be_deployed(const ProcessRecord& process, const ProcessSpec& spec) {
    const auto same = [&spec](const ProcessSpec& other) {
        return other.deploy == spec.deploy && other.run.user == spec.run.user;
    };
    return same(process.spec) || std::ranges::any_of(process.former, [&same](const Revision& revision) {
               return same(revision.spec);
           });
}

// What the caller says of itself, for people.
std::optional<Obstacle> local_obstacle(const Request& request) {
    const auto refusal = request.params.find("refused_here");
    if (refusal == request.params.end() || !refusal->is_object()) return std::nullopt;
    constexpr std::size_t longest = 512;
    return Obstacle{"refused", text::excerpt(json::member<std::string>(*refusal, "message"), longest),
                    text::excerpt(json::member<std::string>(*refusal, "hint"), longest)};
}

} // namespace

RemoteSpin remote_policy_of(const Request& request, const std::string& node) {
    const auto* info = request.draft.get(keys::node_info(node));
    return remote_spin_of(info ? json::member<std::string>(*info, "remote_spin", "sandboxed") : "sandboxed");
}

Result<void> check_remote_policy(const Request& request, const std::string& node, const ProcessSpec& spec) {
    if (node == request.actor.node) return {};
    if (auto allowed = check_remote_spin(remote_policy_of(request, node), spec, node); !allowed)
        return allowed;
    // Whether it is able to is another matter: what is asked for may have been deployed there before.
    auto able = check_reported_deployer(spec, request.draft.get(keys::node_info(node)), node);
    if (!able && able.error().code == ErrorCode::NotPermitted) return able;
    return {};
}

std::vector<Candidate> candidates_for(const Request& request, const ProcessSpec& spec,
                                      const std::string& holder) {
    std::vector<Candidate> candidates;
    const auto existing = holder.empty() ? std::nullopt : request.draft.process(spec.name);
    const auto fleet = request.draft.fleet();
    for (auto& node : request.draft.nodes()) {
        const auto name = node.name;
        Candidate candidate{.record = std::move(node)};
        candidate.asks = name == request.actor.node;
        candidate.has_it = name == holder;
        candidate.has_deployed = candidate.has_it && existing && may_be_deployed(*existing, spec);
        const auto* live = request.draft.get(keys::live(name));
        candidate.live = live ? json::member<std::string>(*live, "state") : "";
        candidate.since = live ? json::member<std::string>(*live, "since") : "";
        // Who asks is there, and so is the node that has the registry.
        if (candidate.asks || (fleet && fleet->root == name)) candidate.live = "up";
        candidate.info = request.draft.get(keys::node_info(name));
        candidate.port = port_obstacle(request, name, spec);
        if (candidate.asks) candidate.local = local_obstacle(request);
        if (needed_memory(spec) != 0) candidate.promised_bytes = promised_on(request, name);
        candidates.push_back(std::move(candidate));
    }
    return candidates;
}

Result<std::string> choose_node(const Request& request, const ProcessSpec& spec, const std::string& wanted) {
    if (!wanted.empty() && !request.draft.node(wanted))
        return std::unexpected(state::no_such_node(wanted, node_names(request.draft)));
    if (is_placed(spec))
        return chosen_node(spec, place(spec, candidates_for(request, spec, ""), wanted), wanted);
    auto node = wanted.empty() ? request.actor.node : wanted;
    const auto record = request.draft.node(node);
    if (!record) return std::unexpected(state::no_such_node(node, node_names(request.draft)));
    if (record->draining)
        return fail(ErrorCode::Conflict, fmt::format("node '{}' takes no processes at the moment", node),
                    fmt::format("p2prc nodes resume {}, or choose another node", node));
    if (auto allowed = check_remote_policy(request, node, spec); !allowed)
        return std::unexpected(allowed.error());
    if (node == request.actor.node) return node;
    if (auto able = check_reported_deployer(spec, request.draft.get(keys::node_info(node)), node); !able)
        return std::unexpected(able.error());
    return node;
}

Result<Json> explain(Request& request) {
    const auto document = request.params.find("spec");
    if (document == request.params.end()) return fail(ErrorCode::InvalidSpec, "'spec' is missing");
    const auto spec = spec_from_document(*document);
    if (!spec) return std::unexpected(spec.error());
    const auto wanted = optional_text(request, "node");
    if (!wanted) return std::unexpected(wanted.error());
    if (!wanted->empty() && !request.draft.node(*wanted))
        return std::unexpected(state::no_such_node(*wanted, node_names(request.draft)));
    const auto existing = request.draft.process(spec->name);
    const auto holder = existing ? existing->node : std::string();
    const auto rows = place(*spec, candidates_for(request, *spec, holder), *wanted);
    Json answer{{"placement", rows_to_json(rows)}, {"changes", Json::array()}, {"restarts", false}};
    // Nothing more can be said of what cannot be anywhere.
    if (!existing && std::ranges::none_of(rows, &PlacementRow::chosen)) return answer;
    // What refuses to be spun is refused here in the same words.
    const auto spun = spin(request);
    if (!spun) return std::unexpected(spun.error());
    answer["node"] = (*spun)["node"];
    for (const auto* key : {"changes", "restarts", "revision"})
        if (spun->contains(key)) answer[key] = (*spun)[key];
    return answer;
}

} // namespace p2prc::registry::rules
