// Spin, stop, start, restart and kill.
#include "core/data_paths.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/process_status.h"
#include "registry/quota.h"
#include "registry/rules.h"
#include "state/find_process.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {

Result<void> check_file_domain(const Request& request, const ProcessRecord& process, bool owner) {
    const auto& domain = process.spec.domain;
    if (domain.empty()) return {};
    if (!process.port)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("process '{}' has a domain but no port", process.name),
                    "add port = 0 to have one chosen and passed as $PORT");
    if (auto allowed = check_domain_rights(request.draft, domain, request.actor.node, owner); !allowed)
        return allowed;
    if (auto good = check_certifiable(
            request.draft, domain,
            fmt::format(
                "choose a name below the zone, or leave domain out and map it to a process that has a "
                "certificate of its own: p2prc map-domain {} {} --tls passthrough",
                domain, process.name));
        !good)
        return good;
    if (auto free = check_domain_serving(request.draft, domain, process, owner); !free) return free;
    if (request.draft.get(keys::domain(domain))) return {};
    return check_room_for_domain(request.draft, request.actor.node, owner);
}

namespace {

Json result_of(const ProcessRecord& process) {
    return {{"id", process.id}, {"name", process.name}, {"node", process.node}, {"change", process.change}};
}

// Another file of a name that is taken is an update, and that is for where it runs.
Result<void> check_same_node(const ProcessRecord& existing, const std::string& wanted_node) {
    if (wanted_node.empty() || wanted_node == existing.node) return {};
    return fail(ErrorCode::Conflict,
                fmt::format("process '{}' exists already on node '{}', not on '{}'", existing.name,
                            existing.node, wanted_node),
                fmt::format("spin it there: --node {0}; or remove that one first: p2prc kill {1} (its data "
                            "stays on {0})",
                            existing.node, existing.name));
}

Result<Json> same_again(const ProcessRecord& existing) {
    return Json{{"id", existing.id},
                {"name", existing.name},
                {"node", existing.node},
                {"created", false},
                {"deployment", existing.deployment}};
}

// The one that the request names, if whoever asks may change it.
Result<ProcessRecord> changed_process(const Request& request) {
    auto text = text_param(request, "process");
    if (!text) return std::unexpected(text.error());
    auto process = state::find_process(request.draft, *text);
    if (process && !request.may_change(*process))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("process '{}' runs on node '{}'; a member changes only what is its own",
                                process->name, process->node),
                    "run the command there, or on a node with the role owner");
    return process;
}

Result<Json> change_rule(Request& request, Action action) {
    auto process = changed_process(request);
    if (!process) return std::unexpected(process.error());
    change(request.draft, *process, action, request.by());
    return result_of(*process);
}

// Running, or about to, as soon as the owner of its machine lets it.
bool is_up(const Draft& draft, const ProcessRecord& process) {
    const auto* status = draft.get(keys::status(process.node, process.id));
    if (!status) return false;
    const auto state = process_state_from_name(json::member<std::string>(*status, "state"));
    const bool applied = json::member<std::uint64_t>(*status, "applied") == process.change;
    return applied && (state == ProcessState::Running || state == ProcessState::Starting ||
                       state == ProcessState::Paused);
}

} // namespace

std::set<std::uint16_t> ports_in_use(const Request& request, const std::string& node) {
    std::set<std::uint16_t> ports;
    const auto add = [&ports](const Json& document) {
        const auto list = document.find("ports_in_use");
        if (list == document.end() || !list->is_array()) return;
        for (const Json& port : *list)
            if (port.is_number_unsigned() && port <= 65535) ports.insert(port.get<std::uint16_t>());
    };
    // Its own word of this moment, or of when it was last heard.
    if (node == request.actor.node) add(request.params);
    if (const auto* info = request.draft.get(keys::node_info(node)); info && info->is_object()) add(*info);
    return ports;
}

Result<Json> spin(Request& request) {
    const auto document = request.params.find("spec");
    if (document == request.params.end()) return fail(ErrorCode::InvalidSpec, "'spec' is missing");
    auto spec = spec_from_document(*document);
    if (!spec) return std::unexpected(spec.error());
    if (auto named = check_process_name(spec->name); !named) return std::unexpected(named.error());
    auto wanted_node = optional_text(request, "node");
    if (!wanted_node) return std::unexpected(wanted_node.error());

    const auto digest = spec_digest(*spec);
    if (request.draft.get(keys::process(spec->name))) {
        auto existing = request.draft.process(spec->name);
        if (!existing)
            return fail(
                ErrorCode::Conflict,
                fmt::format("process '{}' exists, but this version cannot read its record", spec->name),
                "upgrade p2prc on the root node, or choose another name");
        if (auto same = check_same_node(*existing, *wanted_node); !same) return std::unexpected(same.error());
        if (existing->digest == digest) return same_again(*existing);
        const auto deployment = existing->deployment;
        return update(request, std::move(*existing), std::move(*spec), deployment);
    }
    const auto chosen = choose_node(request, *spec, *wanted_node);
    if (!chosen) return std::unexpected(chosen.error());
    const auto& node = *chosen;
    const bool owner = request.is_owner();
    if (auto free = check_further_ports(request.draft, node, spec->name, spec->ports, owner); !free)
        return std::unexpected(free.error());
    auto in_use = ports_in_use(request, node);
    in_use.insert(spec->ports.begin(), spec->ports.end());
    auto port = bind_port(request.draft, node, spec->name, spec->port, owner, in_use);
    if (!port) return std::unexpected(port.error());

    ProcessRecord process;
    process.name = spec->name;
    process.node = node;
    process.changed_by = request.by();
    process.port = *port;
    process.digest = digest;
    process.created_at = request.at();
    process.created_by = process.changed_by;
    process.spec = std::move(*spec);
    if (auto allowed = check_file_domain(request, process, owner); !allowed)
        return std::unexpected(allowed.error());
    if (auto room = check_room_for_process(request.draft, process, request.actor.node, owner); !room)
        return std::unexpected(room.error());
    const auto id = request.draft.next_process_id();
    if (!id) return std::unexpected(id.error());
    process.id = *id;
    request.draft.put(process);
    if (!process.spec.domain.empty())
        if (const auto claimed =
                claim_domain(request.draft, process.spec.domain, process.name, true, process.created_by);
            !claimed)
            return std::unexpected(claimed.error());
    attach_domains(request.draft, process, owner);
    return Json{{"id", process.id},
                {"name", process.name},
                {"node", process.node},
                {"created", true},
                {"deployment", 0}};
}

void change(Draft& draft, ProcessRecord& process, Action action, const std::string& by) {
    if (action == Action::Stop && process.desired == Desired::Stopped) return;
    if (action == Action::Start && process.desired == Desired::Running && is_up(draft, process)) return;
    process.desired = action == Action::Stop ? Desired::Stopped : Desired::Running;
    process.moves.clear(); // somebody has looked at it
    process.move_refused.clear();
    ++process.change;
    process.changed_by = by;
    draft.put(process);
}

Result<Json> stop(Request& request) {
    return change_rule(request, Action::Stop);
}
Result<Json> start(Request& request) {
    return change_rule(request, Action::Start);
}
Result<Json> restart(Request& request) {
    return change_rule(request, Action::Restart);
}

Result<Json> describe_process(Request& request) {
    auto process = changed_process(request);
    if (!process) return std::unexpected(process.error());
    auto custom = parse_custom(request.params.value("custom", Json()));
    if (!custom) return std::unexpected(custom.error());
    process->custom = std::move(*custom);
    if (auto room = check_room_for_change(request.draft, *process); !room)
        return std::unexpected(room.error());
    request.draft.put(*process);
    return result_of(*process);
}

namespace {

void entomb(Draft& draft, const ProcessRecord& process, const std::string& by, const std::string& at) {
    // A node that is not in the fleet has nothing that could still run. A process that is still to end on one
    // node is not forgotten because another node uses its id.
    if (draft.node(process.node) && killed_elsewhere(draft, process.id, process.node).empty())
        draft.put(keys::tombstone(process.id),
                  to_json(Tombstone{process.id, process.name, process.node, by, at, process.former_ids}));
}

// The record and the domains of its name are another's.
void refuse_offer(Draft& draft, const ProcessRecord& process, const std::string& by, const std::string& at) {
    entomb(draft, process, by, at);
    draft.erase(keys::offer(process.node, process.id));
}

} // namespace

std::vector<std::string> forget(Draft& draft, const ProcessRecord& process, const std::string& by,
                                const std::string& at) {
    draft.erase(keys::process(process.name));
    drop_offers(draft, process);
    entomb(draft, process, by, at);
    return release_domains(draft, process.name);
}

Result<Json> kill(Request& request) {
    auto text = text_param(request, "process");
    if (!text) return std::unexpected(text.error());
    auto process = state::find_process(request.draft, *text);
    if (!process) {
        auto waiting = offered(request, *text);
        if (!waiting) return std::unexpected(waiting.error());
        if (*waiting) process = std::move(**waiting);
    }
    if (!process) return std::unexpected(process.error());
    if (!request.may_change(*process))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("process '{}' runs on node '{}'; a member kills only what is its own",
                                process->name, process->node),
                    "run the command there, or on a node with the role owner");
    std::vector<std::string> kept;
    if (request.draft.process(process->id)) {
        kept = forget(request.draft, *process, request.by(), request.at());
    } else {
        if (auto room = check_room_for_tombstone(request.draft, request.actor.node, request.is_owner());
            !room)
            return std::unexpected(room.error());
        refuse_offer(request.draft, *process, request.by(), request.at());
    }
    ++process->change;
    auto result = result_of(*process);
    result["kept_domains"] = kept;
    return result;
}

} // namespace p2prc::registry::rules
