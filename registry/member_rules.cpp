// Members: leaving, removal, their keys and their liveness.
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "registry/maker.h"
#include "registry/owned_keys.h"
#include "registry/rules.h"
#include "state/find_process.h"

#include <fmt/format.h>

namespace p2prc::registry::rules {
namespace {

Result<void> check_not_root(const Request& request, const std::string& name) {
    const auto fleet = request.draft.fleet();
    if (request.draft.nodes().size() == 1)
        return fail(ErrorCode::Conflict, fmt::format("node '{}' is the whole fleet", name),
                    "there is nothing to leave");
    if (fleet &&
        (fleet->root == name || (fleet->root.empty() && request.actor.local && request.actor.node == name)))
        return fail(ErrorCode::Conflict,
                    fmt::format("node '{}' is the root of the fleet, which the other members need", name),
                    "remove the other nodes first: p2prc nodes rm NAME");
    return {};
}

} // namespace

std::vector<std::string> node_names(const Draft& draft) {
    std::vector<std::string> names;
    for (const auto& node : draft.nodes())
        names.push_back(node.name);
    return names;
}

void drop_node(Draft& draft, const NodeRecord& node) {
    for (const auto& process : draft.processes_on(node.name))
        release_domains(draft, process.name);
    seal_makers(draft, node);
    erase_all_of(draft, node.name);
}

Result<Json> leave(Request& request) {
    const auto self = request.draft.node(request.actor.node);
    if (auto allowed = check_not_root(request, request.actor.node); !allowed)
        return std::unexpected(allowed.error());
    drop_node(request.draft, *self);
    return Json{{"name", self->name}};
}

Result<Json> remove_node(Request& request) {
    auto name = text_param(request, "name");
    if (!name) return std::unexpected(name.error());
    const auto node = request.draft.node(*name);
    if (!node) return std::unexpected(state::no_such_node(*name, node_names(request.draft)));
    if (auto allowed = check_not_root(request, *name); !allowed) return std::unexpected(allowed.error());
    drop_node(request.draft, *node);
    return Json{{"name", *name}};
}

Result<Json> register_key(Request& request) {
    auto kind = text_param(request, "kind");
    if (!kind) return std::unexpected(kind.error());
    auto key = text_param(request, "key");
    if (!key) return std::unexpected(key.error());
    if (*kind != "edge" && *kind != "connector")
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("there is no kind of key '{}'", text::excerpt(*kind, 40)),
                    "it is edge or connector");
    if (!is_fingerprint(*key)) return fail(ErrorCode::InvalidSpec, "'key' is not a key's fingerprint");
    auto self = *request.draft.node(request.actor.node);
    const auto fleet = request.draft.fleet();
    if (*kind == "edge" && fleet && !fleet->root.empty() && fleet->root != self.name)
        return fail(ErrorCode::NotPermitted, fmt::format("the fleet's edge is on node '{}'", fleet->root),
                    "stop p2prc-edge here");
    auto& slot = *kind == "edge" ? self.edge_key : self.connector_key;
    if (slot == *key) return Json{{"kind", *kind}, {"key", *key}};
    for (const auto& node : request.draft.nodes())
        if (node.key == *key || node.edge_key == *key || node.connector_key == *key)
            return fail(
                ErrorCode::Conflict, fmt::format("that key is registered already, by node '{}'", node.name),
                fmt::format("remove the {}'s state directory so that it makes a key of its own", *kind));
    slot = *key;
    request.draft.put(self);
    return Json{{"kind", *kind}, {"key", *key}};
}

Result<NodeRecord> described_node(const Request& request) {
    auto name = text_param(request, "node");
    if (!name) return std::unexpected(name.error());
    auto node = request.draft.node(*name);
    if (!node) return std::unexpected(state::no_such_node(*name, node_names(request.draft)));
    if (*name != request.actor.node && !request.is_owner())
        return fail(ErrorCode::NotPermitted,
                    fmt::format("node '{}' is not this one; a member changes only itself", *name),
                    "run the command there, or on a node with the role owner");
    return std::move(*node);
}

Result<Json> label_node(Request& request) {
    auto node = described_node(request);
    if (!node) return std::unexpected(node.error());
    const auto set = request.params.find("set"), remove = request.params.find("remove");
    if (remove != request.params.end()) {
        if (!remove->is_array()) return fail(ErrorCode::InvalidSpec, "'remove' is not a list");
        for (const Json& key : *remove)
            if (const auto* text = key.get_ptr<const std::string*>())
                if (const auto label = node->labels.find(*text); label != node->labels.end())
                    node->labels.erase(label);
    }
    if (set != request.params.end()) {
        if (!set->is_object()) return fail(ErrorCode::InvalidSpec, "'set' is not a table");
        for (const auto& [key, value] : set->items()) {
            const auto* text = value.get_ptr<const std::string*>();
            const auto label = parse_label(fmt::format("{}={}", key, text ? *text : ""));
            if (!text || !label)
                return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is not a label", text::excerpt(key)),
                            label ? "its value is a text, which may be empty" : label.error().hint);
            node->labels.insert_or_assign(label->first, label->second);
        }
    }
    if (node->labels.size() > most_labels)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("node '{}' would have {} labels, and may have {}", node->name,
                                node->labels.size(), most_labels),
                    fmt::format("remove some: p2prc nodes label {} KEY-", node->name));
    request.draft.put(*node);
    return Json{{"node", node->name}, {"labels", node->labels}};
}

Result<Json> describe_node(Request& request) {
    auto node = described_node(request);
    if (!node) return std::unexpected(node.error());
    auto custom = parse_custom(request.params.value("custom", Json()));
    if (!custom) return std::unexpected(custom.error());
    node->custom = std::move(*custom);
    request.draft.put(*node);
    return Json{{"node", node->name}};
}

Result<Json> live(Request& request) {
    auto name = text_param(request, "node");
    if (!name) return std::unexpected(name.error());
    auto state = text_param(request, "state");
    if (!state) return std::unexpected(state.error());
    if (*state != "up" && *state != "suspect" && *state != "lost")
        return fail(ErrorCode::InvalidSpec, fmt::format("a node has no state '{}'", *state),
                    "it is up, suspect or lost");
    if (!request.draft.node(*name)) return Json{{"changed", false}};
    const auto* before = request.draft.get(keys::live(*name));
    if (before && json::member<std::string>(*before, "state") == *state) return Json{{"changed", false}};
    // Without a word of this root about it, the last one counts.
    auto heard = json::member<std::string>(request.params, "heard");
    if (heard.empty() && before) heard = json::member<std::string>(*before, "heard");
    request.draft.put(keys::live(*name), {{"schema", 1},
                                          {"state", *state},
                                          {"since", request.at()},
                                          {"heard", heard.empty() ? Json(nullptr) : Json(heard)}});
    return Json{{"changed", true}};
}

} // namespace p2prc::registry::rules
