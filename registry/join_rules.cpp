// Admitting a node with what it brings, or refusing it whole.
#include "core/gate.h"
#include "core/json_members.h"
#include "core/local_action.h"
#include "core/names.h"
#include "registry/invitations.h"
#include "registry/maker.h"
#include "registry/quota.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {
namespace {

constexpr const char* new_invitation = "ask for a new one: p2prc invite, on a node with the role owner";

// What a joining node brings.
struct Handover {
    std::vector<ProcessRecord> processes;
    std::vector<DomainRecord> domains;
};

Result<Handover> read_handover(const Json& params) {
    Handover handover;
    const auto list = [&](const char* key) { return params.value(key, Json::array()); };
    for (const auto& document : list("processes")) {
        auto process = read_brought_process(document);
        if (!process) return std::unexpected(process.error());
        handover.processes.push_back(std::move(*process));
    }
    for (const auto& document : list("domains")) {
        auto domain = read_brought_domain(document);
        if (!domain) return std::unexpected(domain.error());
        handover.domains.push_back(std::move(*domain));
    }
    return handover;
}

std::string made_by(const std::string& before, const std::string& node) {
    return fmt::format("{}@{}", user_of(before), node);
}

// New ids differ from all that were brought: otherwise one id would stand for two processes of the node for a
// while.
void see_brought_ids(Draft& draft, const Handover& handover) {
    for (const auto& process : handover.processes)
        if (!draft.claim_process_id(process.id)) draft.avoid_process_id(process.id);
}

void note_former_id(ProcessRecord& process) {
    if (process.id != 0) process.former_ids.push_back(process.id);
    if (process.former_ids.size() > most_former_ids)
        process.former_ids.erase(process.former_ids.begin(), process.former_ids.end() - most_former_ids);
}

// In the same fleet another node's user may have asked for it, and it stays as confined as it was. That is
// the bringing node's word alone, so that it fills nobody else's share, and gives no rights to a machine that
// comes later.
void keep_maker(const Draft& draft, ProcessRecord& process, const std::string& node) {
    const std::string maker(node_of(process.created_by));
    if (maker == node || !check_node_name(maker)) {
        process.created_by = made_by(process.created_by, node);
        return;
    }
    process.created_by = made_by(process.created_by, maker);
    count_for_its_node(process);
    if (!draft.node(maker)) seal_for_nobody(process);
}

} // namespace

Result<ProcessRecord> read_brought_process(const Json& document) {
    auto process = process_from_json(document);
    if (!process) return process;
    if (auto named = check_process_name(process->spec.name); !named) return std::unexpected(named.error());
    process->name = process->spec.name;
    process->digest = spec_digest(process->spec);
    std::erase_if(process->former, [&](const Revision& each) {
        return each.spec.name != process->name || each.number == process->revision;
    });
    std::ranges::sort(process->former, {}, &Revision::number);
    forget_oldest_revisions(process->former);
    for (auto& revision : process->former)
        revision.digest = spec_digest(revision.spec);
    const auto sequence = folded_sequence(*process);
    process->unknown = Json::object();
    if (sequence != 0) set_folded_sequence(*process, sequence);
    return process;
}

Result<DomainRecord> read_brought_domain(const Json& document) {
    auto domain = domain_from_json(document);
    if (!domain) return domain;
    auto normal = normalize_domain(domain->domain);
    if (!normal) return std::unexpected(normal.error());
    domain->domain = *normal;
    return domain;
}

Result<void> bring_process(Draft& draft, ProcessRecord process, const std::string& node, bool owner,
                           BroughtId keep) {
    if (draft.get(keys::process(process.name))) {
        const auto holder = draft.process(process.name);
        return fail(ErrorCode::Conflict,
                    fmt::format("process name '{}' is taken in the fleet{}", process.name,
                                holder ? fmt::format(", on node '{}'", holder->node) : ""),
                    fmt::format("kill one of the two, then join again; here or on {}: p2prc kill {}",
                                holder ? fmt::format("node '{}'", holder->node) : "the other node",
                                process.name));
    }
    if (auto free = check_further_ports(draft, node, process.name, process.spec.ports, owner); !free)
        return free;
    // The port that it has now stays its port, also when it was chosen.
    auto port = bind_port(draft, node, process.name, process.port ? process.port : process.spec.port, owner);
    if (!port) return std::unexpected(port.error());
    process.port = *port;
    const bool keeps_id = keep == BroughtId::IfFree && process.id != 0 && !draft.has_process_id(process.id) &&
                          draft.claim_process_id(process.id);
    if (!keeps_id) note_former_id(process);
    process.node = node;
    if (auto room = check_room_for_process(draft, process, node, owner); !room) return room;
    process.changed_by = made_by(process.changed_by, node);
    auto claimant = process;
    claimant.created_by = made_by(process.created_by, node);
    if (keep == BroughtId::Never)
        process.created_by = claimant.created_by;
    else
        keep_maker(draft, process, node);
    // What homes would refuse is not accepted. An id is given out only once nothing else refuses it: a node
    // could have them run out otherwise, by asking again and again.
    if (!keeps_id) process.id = 1;
    if (auto good = accept_process(keys::process(process.name), to_json(process)); !good)
        return std::unexpected(good.error());
    if (!keeps_id) {
        const auto id = draft.next_process_id();
        if (!id) return std::unexpected(id.error());
        process.id = *id;
    }
    draft.put(process);
    claimant.id = process.id;
    attach_domains(draft, claimant, owner);
    return {};
}

Result<void> bring_domain(Draft& draft, const DomainRecord& brought, const std::string& node, bool owner) {
    if (auto allowed = check_domain_rights(draft, brought.domain, node, owner); !allowed) return allowed;
    if (auto named = check_process_name(brought.process); !named) return named;
    ProcessRecord server;
    server.name = brought.process;
    server.node = node;
    server.created_by = made_by(brought.created_by, node);
    if (auto free = check_domain_serving(draft, brought.domain, server, owner); !free) return free;
    // A mapping that waits here for the process stays as it was made.
    if (draft.get(keys::domain(brought.domain))) return {};
    if (auto room = check_room_for_domain(draft, node, owner); !room) return room;
    auto mapping = claim_domain(draft, brought.domain, brought.process, brought.from_file, server.created_by);
    if (!mapping) return std::unexpected(mapping.error());
    take_over(*mapping, brought);
    draft.put(*mapping);
    return {};
}

namespace {

Json welcome(const Draft& draft, const NodeRecord& node, const Handover& handover) {
    auto processes = Json::array();
    for (const auto& brought : handover.processes)
        if (const auto process = draft.process(brought.name); process && process->node == node.name)
            processes.push_back({{"name", process->name}, {"id", process->id}, {"old_id", brought.id}});
    const auto fleet = draft.fleet();
    return {{"name", node.name},
            {"role", role_name(node.role)},
            {"fleet", fleet ? to_json(*fleet) : Json(nullptr)},
            {"processes", processes}};
}

// Nodes have proved their own keys, and the root names its edge's. The key of a connector is only named by
// its node, and not proved.
Result<void> check_keys(const Draft& draft, const std::string& key, const std::string& connector_key) {
    if (!is_fingerprint(key)) return fail(ErrorCode::InvalidSpec, "'key' is not a key's fingerprint");
    if (!connector_key.empty() && !is_fingerprint(connector_key))
        return fail(ErrorCode::InvalidSpec, "'connector_key' is not a key's fingerprint");
    for (const auto& node : draft.nodes())
        for (const auto* held : {&node.key, &node.edge_key})
            if (*held == key || (!connector_key.empty() && *held == connector_key))
                return fail(ErrorCode::Conflict,
                            fmt::format("that key belongs to node '{}' of the fleet", node.name),
                            "a copied machine needs keys of its own: remove its p2prc state directories");
    if (key == connector_key)
        return fail(ErrorCode::Conflict, "the node's key and its connector's are the same",
                    "remove the connector's state directory so that it makes a key of its own");
    return {};
}

// The joining node has proved that this key is its own: a node that names it as its connector's does not keep
// it out.
void take_back(Draft& draft, const std::string& key) {
    for (auto& node : draft.nodes()) {
        if (node.connector_key != key) continue;
        node.connector_key.clear();
        draft.put(node);
    }
}

// The join was asked for, and not the domain: what to do about it is done on the joining machine.
Error as_of_a_join(Error error, const std::string& domain, bool owner) {
    error.message =
        fmt::format("the machine that joins has a domain mapped which it cannot bring: {}", error.message);
    error.hint = fmt::format("unmap it there first: p2prc unmap-domain {}{}", domain,
                             owner || error.code != ErrorCode::NotPermitted
                                 ? ""
                                 : "; or join with an owner's invitation: p2prc invite --role owner");
    return error;
}

bool is_named(const Draft& draft, const std::string& connector_key) {
    return std::ranges::any_of(draft.nodes(),
                               [&](const NodeRecord& node) { return node.connector_key == connector_key; });
}

} // namespace

Result<Json> join(Request& request) {
    auto& draft = request.draft;
    auto id = text_param(request, "invitation");
    if (!id) return std::unexpected(id.error());
    auto key = text_param(request, "key");
    if (!key) return std::unexpected(key.error());
    auto name = text_param(request, "name");
    if (!name) return std::unexpected(name.error());
    auto connector_key = optional_text(request, "connector_key");
    if (!connector_key) return std::unexpected(connector_key.error());
    auto handover = read_handover(request.params);
    if (!handover) return std::unexpected(handover.error());

    auto invitation = find_invitation(draft, *id);
    if (!invitation) return fail(ErrorCode::NotPermitted, "there is no such invitation", new_invitation);
    if (invitation->expires <= request.now)
        return fail(ErrorCode::NotPermitted, "the invitation has expired", new_invitation);
    if (!invitation->key.empty()) {
        if (invitation->key != *key)
            return fail(ErrorCode::NotPermitted,
                        fmt::format("the invitation was used by node '{}'", invitation->node),
                        new_invitation);
        const auto member = draft.node(invitation->node);
        if (!member || member->key != *key)
            return fail(ErrorCode::NotPermitted,
                        fmt::format("the invitation was used, and node '{}' is no longer in the fleet",
                                    invitation->node),
                        new_invitation);
    }
    if (auto named = check_node_name(*name); !named) return std::unexpected(named.error());
    // A machine that left while the root was away comes back, or one that never got the answer to its join
    // asks again. It has been on its own since: what it had here is erased, and what it brings counts.
    const auto fleet = draft.fleet();
    for (const auto& node : draft.nodes())
        if (node.key == *key && (!fleet || node.name != fleet->root)) drop_node(draft, node);
    if (draft.get(keys::node(*name)))
        return fail(
            ErrorCode::Conflict, fmt::format("the fleet has a node '{}' already", *name),
            fmt::format("join under another name: p2prc join TOKEN --name NAME; or, if this machine was "
                        "that node and has been reinstalled, remove it first, on a node with the role owner: "
                        "p2prc nodes rm {}",
                        *name));
    if (auto good = check_keys(draft, *key, *connector_key); !good) return std::unexpected(good.error());

    take_back(draft, *key);
    NodeRecord node;
    node.name = *name;
    node.key = *key;
    // One that another node has named first is not given here: the connector asks for it again, and is told.
    if (!is_named(draft, *connector_key)) node.connector_key = *connector_key;
    node.role = invitation->role;
    node.joined_at = request.at();
    draft.put(node);
    see_brought_ids(draft, *handover);
    const bool owner = node.role == Role::Owner;
    for (const auto& domain : handover->domains)
        if (auto brought = bring_domain(draft, domain, *name, owner); !brought)
            return std::unexpected(as_of_a_join(std::move(brought.error()), domain.domain, owner));
    for (const auto& process : handover->processes)
        if (auto brought = bring_process(draft, process, *name, owner); !brought)
            return std::unexpected(brought.error());
    invitation->key = *key;
    invitation->node = *name;
    put_invitation(draft, *invitation);
    return welcome(draft, node, *handover);
}

namespace {

bool came_before(const Draft& draft, const ProcessRecord& brought, const std::string& node) {
    const auto held = draft.process(brought.name);
    return held && held->node == node && std::ranges::count(held->former_ids, brought.id) > 0;
}

} // namespace

// A node that left a fleet takes in what it brought home, as the owner of its own fleet. Said again, it
// changes nothing: p2prcd may have ended before it could note that all of it is here.
Result<Json> import_fleet(Request& request) {
    auto handover = read_handover(request.params);
    if (!handover) return std::unexpected(handover.error());
    const auto self = request.draft.node(request.actor.node);
    if (!self)
        return fail(ErrorCode::Conflict, fmt::format("node '{}' has no fleet yet", request.actor.node));
    see_brought_ids(request.draft, *handover);
    for (const auto& domain : handover->domains)
        if (auto brought = bring_domain(request.draft, domain, self->name, true); !brought)
            return std::unexpected(brought.error());
    for (const auto& process : handover->processes) {
        if (came_before(request.draft, process, self->name)) continue;
        if (auto brought = bring_process(request.draft, process, self->name, true); !brought)
            return std::unexpected(brought.error());
    }
    return welcome(request.draft, *self, *handover);
}

} // namespace p2prc::registry::rules
