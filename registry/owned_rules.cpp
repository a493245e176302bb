// What a node says of itself: taken as it is under its own keys, and local actions folded into agreed state.
#include "core/gate.h"
#include "core/json_members.h"
#include "core/local_action.h"
#include "core/process_status.h"
#include "core/text.h"
#include "registry/owned_keys.h"
#include "registry/quota.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace p2prc::registry::rules {
namespace {

constexpr std::size_t longest_value = 64 * 1024;
// A process with its domains; see longest_spec.
constexpr std::size_t longest_offer = 256 * 1024;

bool is_folded(std::string_view key) {
    return keys::family_of(key)->kind == keys::Kind::Folded;
}

bool is_offer(std::string_view key) {
    return keys::family_of(key)->share == keys::Share::Offers;
}

// Of a status; nothing for any other key.
std::optional<std::uint32_t> reported_process(std::string_view key) {
    const auto parsed = keys::parse(key);
    if (!parsed || parsed->family->prefix != keys::statuses) return std::nullopt;
    return parsed->id();
}

Result<void> check_item(const std::string& node, const std::string& key, const Json* value) {
    if (auto good = check_owned(key, node); !good) return std::unexpected(good.error());
    if (value && !value->is_object())
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the value of '{}' is not an object", text::excerpt(key)));
    return {};
}

// Lines of logs and the like may hold anything, and come from programs that know nothing of this: they are
// made fit for those who read them rather than refused, as a node whose upload is refused is silent for ever.
Json fit(const Json& value) {
    if (value.is_string()) return text::for_bus(value.get_ref<const std::string&>());
    if (value.is_array()) {
        auto list = Json::array();
        for (const auto& item : value)
            list.push_back(fit(item));
        return list;
    }
    if (!value.is_object()) return value;
    auto object = Json::object();
    for (const auto& [key, item] : value.items())
        object[text::for_bus(key)] = fit(item);
    return object;
}

// What a node writes, and what there is room for.
class Shelf {
  public:
    explicit Shelf(Request& request) : request_(request), quota_(quota_of(request.actor.role)) {}

    // False: there is no room for it, and what was there before would be wrong now, so that it goes as well.
    bool put(const std::string& key, Json value) {
        request_.draft.erase(key);
        auto text = state::document_text(value);
        if (!fits(key, text.size()) && reported_process(key) && drop_details(value))
            text = state::document_text(value);
        if (!fits(key, text.size())) return false;
        request_.draft.put(key, std::move(value), std::move(text));
        return true;
    }

  private:
    bool fits(const std::string& key, std::size_t size) const {
        const auto share = request_.draft.share_of(request_.actor.node);
        const bool offer = is_offer(key);
        const auto bytes = key.size() + size;
        return bytes <= (offer ? longest_offer : longest_value) &&
               has_room(share.owned_bytes, bytes, quota_.owned_bytes) &&
               has_room(share.owned_keys, 1, quota_.owned_keys) &&
               (!offer || has_room(share.offers, 1, quota_.processes));
    }

    // Last lines of a journal are nearly all of a status, and the least that it says; the command is the
    // rest.
    static bool drop_details(Json& value) {
        const bool command = value.erase("command") > 0;
        const auto reason = value.find("reason");
        const bool log = reason != value.end() && reason->is_object() && reason->erase("log") > 0;
        return log || command;
    }

    Request& request_;
    const Quota& quota_;
};

// False: it was folded before, or the process is not this node's (it may have been killed meanwhile).
bool fold(Request& request, const LocalAction& local) {
    auto process = request.draft.process(local.id);
    if (!process || process->node != request.actor.node) return false;
    if (taken_in(*process, local)) return false;
    if (local.sequence - folded_sequence(*process) > most_changes_ahead) return false;
    const auto by = fmt::format("{}@{}", user_of(local.by), request.actor.node);
    if (local.is_kill()) {
        forget(request.draft, *process, by, request.at());
        return true;
    }
    if (local.action != "stop" && local.action != "start" && local.action != "restart") return false;
    // Only the last of several actions is uploaded; each has counted as a change on its node.
    process->change = change_with(*process, local);
    process->moves.clear();
    process->move_refused.clear();
    process->desired = local.desired();
    process->changed_by = by;
    set_folded_sequence(*process, local.sequence);
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

// A node that has acted upon later changes than the record counts knows better: the registry was restored
// from a copy of before them.
void catch_up(Request& request, const Json& set) {
    for (const auto& [key, value] : set.items()) {
        const auto id = reported_process(key);
        if (!id) continue;
        auto process = request.draft.process(*id);
        if (!process || process->node != request.actor.node) continue;
        const auto status = status_from_json(value);
        if (take_in_update(request, *process, status)) request.draft.put(*process);
        if (take_in_remedy(request, *process, status)) continue;
        if (status.applied <= process->change || status.applied - process->change > most_changes_ahead)
            continue;
        process->change = status.applied;
        process->desired = stopped_on_request(status) ? Desired::Stopped : Desired::Running;
        request.draft.put(*process);
    }
}

// A tombstone has done its work when its node reports the process as killed and stopped. That the report says
// nothing of it is not enough: the start of it may be under way there, and without the tombstone nothing
// would end it.
void erase_reported_tombstones(Request& request) {
    for (const auto& tombstone : request.draft.tombstones_on(request.actor.node)) {
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
    // That the registry has itself, and the node has not: whatever they look like. A root that was taken
    // over, or a later version, may have left any.
    std::vector<std::string> gone = {};
};

Result<Json> take(Request& request, const Upload& upload) {
    for (const auto& [key, value] : upload.set.items())
        if (auto good = check_item(request.actor.node, key, &value); !good)
            return std::unexpected(good.error());
    for (const auto& key : upload.remove)
        if (auto good = check_item(request.actor.node, key, nullptr); !good)
            return std::unexpected(good.error());
    Shelf shelf(request);
    for (const auto& key : upload.remove)
        if (!is_folded(key)) request.draft.erase(key);
    for (const auto& key : upload.gone)
        request.draft.erase(key);
    std::vector<LocalAction> actions;
    std::vector<std::string> without_room;
    for (const auto& [key, value] : upload.set.items()) {
        if (is_folded(key)) {
            actions.push_back(local_action_from_json(value));
            actions.back().id = keys::parse(key)->id();
            continue;
        }
        if (!shelf.put(key, fit(value))) {
            without_room.push_back(key);
            continue;
        }
        // An id that a node knows is never given out again, even by a registry that was restored from before.
        if (const auto id = reported_process(key)) request.draft.claim_process_id(*id);
    }
    auto folded = fold_all(request, std::move(actions));
    catch_up(request, upload.set);
    erase_reported_tombstones(request);
    settle_offers(request);
    Json result{{"folded", std::move(folded)}};
    if (!without_room.empty()) result["without_room"] = without_room;
    return result;
}

} // namespace

Result<Json> put_status(Request& request) {
    const auto items = request.params.find("items");
    if (items == request.params.end() || !items->is_object())
        return fail(ErrorCode::InvalidSpec, "'items' is missing");
    Upload upload{*items, {}};
    const auto list = json::member<std::vector<std::string>>(request.params, "keep");
    const std::set<std::string_view> keep(list.begin(), list.end());
    for (auto& key : owned_by(request.draft, request.actor.node))
        if (!items->contains(key) && !keep.contains(key)) upload.gone.push_back(std::move(key));
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

} // namespace p2prc::registry::rules
