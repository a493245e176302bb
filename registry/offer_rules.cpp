// What nodes have and a registry that was restored from an older copy does not know.
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "registry/maker.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {
namespace {

constexpr std::size_t tried_again = 32;

// It has come back already, under its id or a new one.
bool is_known(const Draft& draft, const ProcessRecord& offered, const std::string& node) {
    const auto held = draft.process(offered.name);
    return held && held->node == node &&
           (held->id == offered.id || std::ranges::count(held->former_ids, offered.id) > 0);
}

// It was killed after it was offered: the tombstone ends it.
bool is_killed(const Draft& draft, const ProcessRecord& offered, std::string_view node) {
    const auto tombstone = draft.tombstone(offered.id);
    return tombstone && tombstone->node == node && tombstone->name == offered.name;
}

// What the registry says to an offer, in its document: why the process was refused; why a domain was, by
// domain; and domains that the registry knew and that were unmapped since.
constexpr const char* refused = "refused";
constexpr const char* refused_domains = "refused_domains";
constexpr const char* removed_domains = "removed_domains";

bool is_answered(const Json& document) {
    return document.contains(refused) || document.contains(refused_domains) ||
           document.contains(removed_domains);
}

Result<void> adopt(Request& request, const Json& offered) {
    auto brought = read_brought_process(offered);
    if (!brought) return std::unexpected(brought.error());
    const auto& process = *brought;
    if (const auto other = killed_elsewhere(request.draft, process.id, request.actor.node); !other.empty())
        return fail(
            ErrorCode::Conflict,
            fmt::format("the id {} is that of a process which was killed on node '{}' and has still to "
                        "end there",
                        process.id, other));
    return bring_process(request.draft, process, request.actor.node, request.is_owner(), BroughtId::IfFree);
}

// A domain that is another's by now stays the other's, and `answer` says so. Of a process that the registry
// had already it may know more than the node: what it has released itself stays released.
void bring_domains(Request& request, ProcessRecord process, bool fresh, const Json& offered, Json& answer) {
    auto& draft = request.draft;
    const auto& node = request.actor.node;
    const bool owner = request.is_owner();
    bool brought = false;
    for (const auto& document : offered) {
        const auto mapping = read_brought_domain(document);
        if (!mapping || mapping->process != process.name) continue;
        const auto& domain = mapping->domain;
        if (const auto held = draft.domain(domain); held && held->process == process.name) continue;
        if (!fresh && !draft.is_lost_mapping(mapping->mapping_id)) {
            answer[removed_domains].push_back(domain);
            continue;
        }
        const auto done = bring_domain(draft, *mapping, node, owner);
        brought = brought || done;
        if (!done) answer[refused_domains][domain] = done.error().message;
    }
    if (!brought) return;
    // They are the node's own word.
    process.unknown = Json::object();
    process.created_by = fmt::format("{}@{}", user_of(process.created_by), node);
    attach_domains(draft, process, owner);
}

void settle(Request& request, const std::string& key, Json& document) {
    auto& draft = request.draft;
    const auto& node = request.actor.node;
    const auto process = process_from_json(document.value("process", Json()));
    if (!process || is_killed(draft, *process, node)) {
        draft.erase(key);
        return;
    }
    for (const auto* member : {refused, refused_domains, removed_domains})
        document.erase(member);
    const bool fresh = !is_known(draft, *process, node);
    const auto taken = fresh ? adopt(request, document.value("process", Json())) : Result<void>();
    const auto record = taken ? draft.process(fresh ? process->spec.name : process->name) : std::nullopt;
    if (!taken) document[refused] = taken.error().message;
    if (record) bring_domains(request, *record, fresh, document.value("domains", Json::array()), document);
    if (is_answered(document))
        draft.put(key, document);
    else
        draft.erase(key);
}

} // namespace

std::string killed_elsewhere(const Draft& draft, std::uint32_t id, std::string_view node) {
    const auto tombstone = draft.tombstone(id);
    return tombstone && tombstone->node != node ? tombstone->node : std::string();
}

Result<std::optional<ProcessRecord>> offered(const Request& request, std::string_view id) {
    std::vector<ProcessRecord> found;
    for (const auto& [key, document] : request.draft.range(keys::offers)) {
        if (std::string_view(key).substr(key.rfind('/') + 1) != id) continue;
        auto process = process_from_json(document->value("process", Json()));
        if (!process || std::to_string(process->id) != id ||
            !key.starts_with(keys::offer_prefix(process->node)) ||
            is_known(request.draft, *process, process->node))
            continue;
        if (process->node == request.actor.node) return std::optional(std::move(*process));
        found.push_back(std::move(*process));
    }
    if (found.empty()) return std::optional<ProcessRecord>();
    if (found.size() > 1)
        return fail(ErrorCode::Conflict,
                    fmt::format("nodes '{}' and '{}' both say that they run a process with the id {}",
                                found[0].node, found[1].node, text::excerpt(id)),
                    "run the command on the node that is meant");
    return std::optional(std::move(found.front()));
}

void drop_offers(Draft& draft, const ProcessRecord& process) {
    auto ids = process.former_ids;
    ids.push_back(process.id);
    for (const auto id : ids) {
        const auto key = keys::offer(process.node, id);
        const auto* document = draft.get(key);
        if (document && json::member<std::string>(document->value("process", Json()), "name") == process.name)
            draft.erase(key);
    }
}

void settle_offers(Request& request) {
    auto& draft = request.draft;
    std::vector<std::pair<std::string, Json>> fresh, answered;
    for (const auto& [key, document] : draft.range(keys::offer_prefix(request.actor.node)))
        (is_answered(*document) ? answered : fresh).emplace_back(key, *document);
    // What was refused is tried again with each upload, a few at a time, beginning elsewhere each second.
    if (answered.size() > tried_again) {
        const auto begin = static_cast<std::size_t>(request.now) % answered.size();
        std::ranges::rotate(answered, answered.begin() + static_cast<std::ptrdiff_t>(begin));
        answered.resize(tried_again);
    }
    for (auto* offers : {&fresh, &answered})
        for (auto& [key, document] : *offers)
            settle(request, key, document);
}

} // namespace p2prc::registry::rules
