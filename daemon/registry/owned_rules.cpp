// What a node says of itself: taken as it is under its own keys, and local actions folded into agreed state.
#include "core/json_members.h"
#include "core/process_status.h"
#include "core/text.h"
#include "daemon/registry/owned_keys.h"
#include "daemon/registry/quota.h"
#include "daemon/registry/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace p2prc::daemon::rules {
namespace {

constexpr std::size_t longest_value = 64 * 1024;
// A process with its domains; see longest_spec.
constexpr std::size_t longest_offer = 256 * 1024;

// Number of the last local action that a process's record takes into account; the node drops its copy by it.
constexpr const char* local_sequence = "local_sequence";

Result<void> check_item(const OwnedKeys& owned, const std::string& node, const std::string& key,
                        const Json* value) {
    if (!owned.stored(key) && !owned.folded(key))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("key '{}' is not owned by node '{}'", text::excerpt(key), node));
    if (auto good = owned.check_form(key); !good) return good;
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
    explicit Shelf(Request& request)
        : request_(request)
        , owned_(request.actor.node)
        , quota_(quota_of(request.actor.role)) {
        for (const auto& key : owned_.present(request.draft)) {
            ++keys_;
            if (owned_.is_offer(key)) ++offers_;
            bytes_ += request.draft.committed_size(key);
        }
    }

    void erase(const std::string& key) {
        if (!request_.draft.get(key)) return;
        --keys_;
        if (owned_.is_offer(key)) --offers_;
        bytes_ -= request_.draft.committed_size(key);
        request_.draft.erase(key);
    }

    // False: there is no room for it, and what was there before would be wrong now, so that it goes as well.
    bool put(const std::string& key, Json value) {
        erase(key);
        auto size = key.size() + document_size(value);
        if (!fits(key, size) && owned_.is_status(key) && drop_log(value))
            size = key.size() + document_size(value);
        if (!fits(key, size)) return false;
        ++keys_;
        if (owned_.is_offer(key)) ++offers_;
        bytes_ += size;
        request_.draft.put(key, std::move(value));
        return true;
    }

  private:
    bool fits(const std::string& key, std::size_t size) const {
        const bool offer = owned_.is_offer(key);
        return size <= (offer ? longest_offer : longest_value) && bytes_ + size <= quota_.owned_bytes &&
               keys_ < quota_.owned_keys && (!offer || offers_ < quota_.processes);
    }

    // Last lines of a journal are nearly all of a status, and the least that it says.
    static bool drop_log(Json& value) {
        const auto reason = value.find("reason");
        return reason != value.end() && reason->is_object() && reason->erase("log") > 0;
    }

    Request& request_;
    OwnedKeys owned_;
    const Quota& quota_;
    std::size_t keys_ = 0;
    std::size_t offers_ = 0;
    std::size_t bytes_ = 0;
};

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
void catch_up(Request& request, const OwnedKeys& owned, const Json& set) {
    for (const auto& [key, value] : set.items()) {
        if (!owned.is_status(key)) continue;
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
    const OwnedKeys owned(request.actor.node);
    for (const auto& [key, value] : upload.set.items())
        if (auto good = check_item(owned, request.actor.node, key, &value); !good)
            return std::unexpected(good.error());
    for (const auto& key : upload.remove)
        if (auto good = check_item(owned, request.actor.node, key, nullptr); !good)
            return std::unexpected(good.error());
    Shelf shelf(request);
    for (const auto& key : upload.remove)
        if (!owned.folded(key)) shelf.erase(key);
    std::vector<LocalAction> actions;
    std::vector<std::string> without_room;
    for (const auto& [key, value] : upload.set.items()) {
        if (owned.folded(key)) {
            actions.push_back(read_local(key, value));
            continue;
        }
        if (!shelf.put(key, fit(value))) {
            without_room.push_back(key);
            continue;
        }
        // An id that a node knows is never given out again, even by a registry that was restored from before.
        if (owned.is_status(key) && *id_at_end(key) <= largest_believed_id)
            request.draft.seen_process_id(*id_at_end(key));
    }
    auto folded = fold_all(request, std::move(actions));
    catch_up(request, owned, upload.set);
    bury(request);
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
    for (auto& key : OwnedKeys(request.actor.node).present(request.draft))
        if (!items->contains(key) && !keep.contains(key)) upload.remove.push_back(std::move(key));
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
