#include "registry/methods.h"

#include "registry/rules.h"

#include <array>

namespace p2prc::registry {
namespace {

constexpr std::array table{
    Method{"process.spin", Access::Member, "spec node? ports_in_use? refused_here? by",
           "id name node created revision? change? restarts? changes?",
           "Takes name, id, port and domain and wants the process running on `node`; when empty, on the one "
           "that its placement chooses, or on the caller's. Another specification of a process that is there "
           "is its next revision.",
           rules::spin},
    Method{.name = "process.explain",
           .access = Access::Member,
           .params = "spec node? ports_in_use? refused_here? by",
           .result = "placement changes restarts node? revision?",
           .documentation =
               "What process.spin would do, and what is in the way on each node. Changes nothing.",
           .rule = rules::explain,
           .commits = false},
    Method{"process.stop", Access::Member, "process by", "id name node change",
           "Wants it stopped; the record stays.", rules::stop},
    Method{"process.start", Access::Member, "process by", "id name node change", "Wants it running.",
           rules::start},
    Method{"process.restart", Access::Member, "process by", "id name node change",
           "Wants it stopped and run again.", rules::restart},
    Method{"process.rollback", Access::Member, "process revision? by",
           "id name node revision change restarts",
           "Makes the next revision of an earlier one: of the last good one when `revision` is 0 or absent.",
           rules::roll_back},
    Method{"process.custom", Access::Member, "process custom by", "id name node change",
           "Replaces the custom information about it. Nothing is restarted.", rules::describe_process},
    Method{"process.redeploy", Access::Member, "process by", "id name node revision change restarts",
           "Makes the next revision of the present one, for which its deployer runs anew.", rules::redeploy},
    Method{"process.kill", Access::Member, "process by", "id name node change kept_domains",
           "Forgets it: leaves a tombstone, drops the domain of its file, keeps mapped ones, waiting.",
           rules::kill},
    Method{"domain.map", Access::Member, "domain process tls? port? by", "DomainRecord",
           "Claims a domain for a process, which need not exist yet.", rules::map_domain},
    Method{"domain.unmap", Access::Member, "domain by", "domain", "Gives a domain up.", rules::unmap_domain},
    Method{"fleet.init", Access::Local, "name? key? zone? public_ips? acme? web_ca? by", "FleetRecord",
           "Creates a fleet, or gives it a zone and a root. Made again, it changes nothing.", rules::init},
    Method{
        "fleet.export", Access::Local, "", "processes domains",
        "What this node takes along when it joins another fleet; refused while this one has other members.",
        rules::export_fleet},
    Method{"fleet.import", Access::Local, "processes? domains? by?", "name role fleet processes",
           "Takes in, whole or not at all, what a node brings home that has left a fleet.",
           rules::import_fleet},
    Method{"fleet.invite", Access::Owner, "role? expires_seconds? by", "id secret expires",
           "An invitation for one node; `secret` is 64 hexadecimal digits, `expires` Unix seconds.",
           rules::invite, "inviting nodes"},
    Method{"node.join", Access::Guest, "key name connector_key? invitation processes? domains?",
           "name role fleet processes", "Admits a node with all that it brings, or refuses whole.",
           rules::join},
    Method{"node.leave", Access::Member, "", "name", "The calling node leaves, with its processes.",
           rules::leave},
    Method{"node.remove", Access::Owner, "name by", "name",
           "Removes another node; its keys are worth nothing from then on.", rules::remove_node,
           "removing nodes"},
    Method{"node.register_key", Access::Member, "kind key", "kind key",
           "The fingerprint of the calling node's edge or connector.", rules::register_key},
    Method{"node.label", Access::Member, "node set? remove? by", "node labels",
           "Sets and removes labels of the calling node; an owner does so for any.", rules::label_node},
    Method{"node.custom", Access::Member, "node custom by", "node",
           "Replaces the custom information about the calling node; an owner does so for any.",
           rules::describe_node},
    Method{
        "node.drain", Access::Member, "node again? by", "node processes",
        "Places no processes on the calling node any more, and moves those without data to others; an owner "
        "does so for any. With `again` it is refused if the node has been resumed since.",
        rules::drain_node},
    Method{.name = "node.explain_drain",
           .access = Access::Member,
           .params = "node by",
           .result = "node processes",
           .documentation = "What node.drain would move, and what would stay. Changes nothing.",
           .rule = rules::drain_node,
           .commits = false},
    Method{"node.resume", Access::Member, "node by", "node", "Lets the node have processes again.",
           rules::resume_node},
    Method{"node.live", Access::Local, "node state heard?", "changed",
           "Liveness as the root sees it: up, suspect, lost; and when it last heard of the node.",
           rules::live},
    Method{"challenge.publish", Access::Member, "domain value", "domain expires",
           "A DNS-01 value, by the node that serves the domain.", rules::publish_challenge},
    Method{"challenge.remove", Access::Member, "domain value", "domain", "Takes it away again.",
           rules::remove_challenge},
    Method{"certificate.sign", Access::Member, "domain csr", "chain",
           "A certificate of the fleet's web CA, for the node that serves the domain.",
           rules::sign_certificate},
    Method{"status.put", Access::Member, "items keep?", "folded without_room?",
           "All of the calling node's owned keys, but for those in `keep`, which it has updated before.",
           rules::put_status},
    Method{
        "status.update", Access::Member, "set? delete?", "folded without_room?",
        "Some of the calling node's owned keys. Those for which its share has no room are named, and gone.",
        rules::update_status},
    Method{"registry.sweep", Access::Local, "", "removed",
           "Drops invitations and challenges that have run out.", rules::sweep},
};

} // namespace

std::span<const Method> method_table() noexcept {
    return table;
}

const Method* find_method(std::string_view name) noexcept {
    for (const auto& row : table)
        if (row.name == name) return &row;
    return nullptr;
}

} // namespace p2prc::registry
