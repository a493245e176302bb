// What a node says of itself: taken as it is under its own keys, and local actions folded into agreed state.
#include "core/json_members.h"
#include "core/process_status.h"
#include "core/text.h"
#include "daemon/registry/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace p2prc::daemon::rules {
namespace {

constexpr std::size_t longest_value = 64 * 1024;
// More than a node has of statuses, or of certificates: beyond is a node that fills the root's disk.
constexpr std::size_t most_keys = 4096;

// Number of the last local action that a process's record takes into account; the node drops its copy by it.
constexpr const char* local_sequence = "local_sequence";

struct Owner {
    std::string status, info, certificates, tunnel, local, offers;
    explicit Owner(const std::string& node)
        : status(keys::status_prefix(node))
        , info(keys::node_info(node))
        , certificates(fmt::format("/certificates/{}/", node))
        , tunnel(keys::tunnel(node))
        , local(fmt::format("/local/{}/", node))
        , offers(keys::offer_prefix(node)) {}
    bool stored(std::string_view key) const {
        return key == info || key == tunnel || key.starts_with(status) || key.starts_with(certificates) ||
               key.starts_with(offers);
    }
    bool folded(std::string_view key) const { return key.starts_with(local); }
};

std::optional<std::uint32_t> id_at_end(std::string_view key) {
    const auto text = key.substr(key.rfind('/') + 1);
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return id;
}

Result<void> check_item(const Owner& owner, const std::string& node, const std::string& key,
                        const Json* value) {
    if (!owner.stored(key) && !owner.folded(key))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("key '{}' is not owned by node '{}'", text::excerpt(key), node));
    const bool of_process =
        key.starts_with(owner.status) || key.starts_with(owner.offers) || owner.folded(key);
    if (of_process && !id_at_end(key))
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("key '{}' does not end with the id of a process", text::excerpt(key)));
    if (value && !value->is_object())
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the value of '{}' is not an object", text::excerpt(key)));
    // Replacing bytes that are not UTF-8 keeps dump() from throwing.
    if (value && value->dump(-1, ' ', false, Json::error_handler_t::replace).size() > longest_value)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the value of '{}' is longer than 64 KiB", text::excerpt(key)));
    return {};
}

struct LocalAction {
    std::uint32_t id = 0;
    std::string action;
    std::uint64_t sequence = 0;
    std::string by;
};

// False: it was folded before, or the process is not this node's (it may have been killed meanwhile).
bool fold(Request& request, const LocalAction& local) {
    auto process = request.draft.process(local.id);
    if (!process || process->node != request.actor.node) return false;
    const auto folded = json::member<std::uint64_t>(process->unknown, local_sequence);
    if (folded >= local.sequence) return false;
    const auto by = fmt::format("{}@{}", user_of(local.by), request.actor.node);
    if (local.action == "kill") {
        forget(request.draft, *process, by, request.at());
        return true;
    }
    if (local.action != "stop" && local.action != "start" && local.action != "restart") return false;
    // Only the last of several actions is uploaded; each has counted as a change on its node.
    process->change += local.sequence - folded;
    process->desired = local.action == "stop" ? Desired::Stopped : Desired::Running;
    process->changed_by = by;
    process->unknown[local_sequence] = local.sequence;
    request.draft.put(*process);
    return true;
}

Json fold_all(Request& request, std::vector<LocalAction> actions) {
    std::ranges::sort(actions, {}, &LocalAction::sequence);
    auto folded = Json::array();
    for (const auto& action : actions)
        if (fold(request, action)) folded.push_back(action.id);
    return folded;
}

LocalAction read_local(std::string_view key, const Json& value) {
    return {*id_at_end(key), json::member<std::string>(value, "action"),
            json::member<std::uint64_t>(value, "sequence"), json::member<std::string>(value, "by")};
}

// A node that has acted upon later changes than the record counts knows better: the registry was restored
// from a copy of before them.
void catch_up(Request& request, const Owner& owner, const Json& set) {
    for (const auto& [key, value] : set.items()) {
        if (!key.starts_with(owner.status)) continue;
        auto process = request.draft.process(*id_at_end(key));
        if (!process || process->node != request.actor.node) continue;
        const auto status = status_from_json(value);
        if (status.applied <= process->change || status.applied > process->change + largest_believed_id)
            continue;
        process->change = status.applied;
        process->desired = stopped_on_request(status) ? Desired::Stopped : Desired::Running;
        request.draft.put(*process);
    }
}

// A tombstone has done its work when its node reports the process as killed and stopped. That the report says
// nothing of it is not enough: the start of it may be under way there, and without the tombstone nothing
// would end it.
void bury(Request& request) {
    for (const auto& tombstone : request.draft.tombstones()) {
        if (tombstone.node != request.actor.node) continue;
        const auto* document = request.draft.get(keys::status(tombstone.node, tombstone.id));
        if (!document) continue;
        const auto status = status_from_json(*document);
        if (status.state == ProcessState::Stopped && status.reason && status.reason->kind == StopKind::Killed)
            request.draft.erase(keys::tombstone(tombstone.id));
    }
}

struct Upload {
    Json set = Json::object();
    std::vector<std::string> remove;
};

Result<Json> take(Request& request, const Upload& upload) {
    const Owner owner(request.actor.node);
    for (const auto& [key, value] : upload.set.items())
        if (auto good = check_item(owner, request.actor.node, key, &value); !good)
            return std::unexpected(good.error());
    for (const auto& key : upload.remove)
        if (auto good = check_item(owner, request.actor.node, key, nullptr); !good)
            return std::unexpected(good.error());
    std::vector<LocalAction> actions;
    for (const auto& [key, value] : upload.set.items()) {
        if (owner.folded(key)) {
            actions.push_back(read_local(key, value));
            continue;
        }
        // An id that a node knows is never given out again, even by a registry that was restored from before.
        if (key.starts_with(owner.status) && *id_at_end(key) <= largest_believed_id)
            request.draft.seen_process_id(*id_at_end(key));
        request.draft.put(key, value);
    }
    for (const auto& key : upload.remove)
        if (!owner.folded(key)) request.draft.erase(key);
    for (const auto& prefix : {owner.status, owner.certificates})
        if (!upload.set.empty() && request.draft.range(prefix).size() > most_keys)
            return fail(ErrorCode::Failed, fmt::format("node '{}' keeps more than {} keys below {}",
                                                       request.actor.node, most_keys, prefix));
    auto folded = fold_all(request, std::move(actions));
    catch_up(request, owner, upload.set);
    bury(request);
    settle_offers(request);
    return Json{{"folded", std::move(folded)}};
}

} // namespace

Result<Json> put_status(Request& request) {
    const auto items = request.params.find("items");
    if (items == request.params.end() || !items->is_object())
        return fail(ErrorCode::InvalidSpec, "'items' is missing");
    Upload upload{*items, {}};
    const Owner owner(request.actor.node);
    const auto list = json::member<std::vector<std::string>>(request.params, "keep");
    const std::set<std::string_view> keep(list.begin(), list.end());
    for (const auto& prefix : {owner.status, owner.certificates, owner.info, owner.tunnel, owner.offers})
        for (const auto& [key, document] : request.draft.range(prefix))
            if (owner.stored(key) && !items->contains(key) && !keep.contains(key))
                upload.remove.push_back(key);
    return take(request, upload);
}

Result<Json> update_status(Request& request) {
    Upload upload;
    if (const auto set = request.params.find("set"); set != request.params.end() && !set->is_null()) {
        if (!set->is_object()) return fail(ErrorCode::InvalidSpec, "'set' is not an object");
        upload.set = *set;
    }
    upload.remove = json::member<std::vector<std::string>>(request.params, "delete");
    for (const auto& key : upload.remove)
        if (upload.set.contains(key))
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("key '{}' is both set and deleted", text::excerpt(key)));
    return take(request, upload);
}

} // namespace p2prc::daemon::rules
