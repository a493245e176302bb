// What nodes have and a registry that was restored from an older copy does not know.
#include "core/names.h"
#include "core/text.h"
#include "daemon/registry/maker.h"
#include "daemon/registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon::rules {
namespace {

constexpr std::size_t tried_again = 32;

// It has come back already, under its id or a new one.
bool is_known(const Draft& draft, const ProcessRecord& offered, const std::string& node) {
    const auto held = draft.process(offered.name);
    return held && held->node == node &&
           (held->id == offered.id || std::ranges::count(held->former_ids, offered.id) > 0);
}

// It was killed after it was offered: the tombstone ends it.
bool is_buried(const Draft& draft, const ProcessRecord& offered, std::string_view node) {
    const auto tombstone = draft.tombstone(offered.id);
    return tombstone && tombstone->node == node && tombstone->name == offered.name;
}

Result<void> adopt(Request& request, const Json& offer) {
    auto brought = read_brought_process(offer.value("process", Json()));
    if (!brought) return std::unexpected(brought.error());
    auto& process = *brought;
    if (const auto other = killed_elsewhere(request.draft, process.id, request.actor.node); !other.empty())
        return fail(
            ErrorCode::Conflict,
            fmt::format("the id {} is that of a process which was killed on node '{}' and has still to "
                        "end there",
                        process.id, other));
    const auto& node = request.actor.node;
    const bool owner = request.is_owner();
    const auto done = bring_process(request.draft, process, node, owner, BroughtId::IfFree);
    if (!done) return done;
    // A domain that is another's by now stays the other's.
    for (const auto& document : offer.value("domains", Json::array())) {
        const auto mapping = read_brought_domain(document);
        if (!mapping || mapping->process != process.name) continue;
        (void)bring_domain(request.draft, *mapping, node, owner);
    }
    if (auto adopted = request.draft.process(process.name)) {
        adopted->created_by = fmt::format("{}@{}", user_of(adopted->created_by), node);
        attach_domains(request.draft, *adopted, owner);
    }
    return {};
}

void settle(Request& request, const std::string& key, Json& document) {
    auto& draft = request.draft;
    const auto& node = request.actor.node;
    const auto process = process_from_json(document.value("process", Json()));
    if (!process || is_known(draft, *process, node) || is_buried(draft, *process, node)) {
        draft.erase(key);
        return;
    }
    const auto adopted = adopt(request, document);
    if (adopted) {
        draft.erase(key);
        return;
    }
    document["refused"] = adopted.error().message;
    draft.put(key, document);
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
            !key.starts_with(keys::offer_prefix(process->node)))
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

void settle_offers(Request& request) {
    auto& draft = request.draft;
    std::vector<std::pair<std::string, Json>> fresh, refused;
    for (const auto& [key, document] : draft.range(keys::offer_prefix(request.actor.node)))
        (document->contains("refused") ? refused : fresh).emplace_back(key, *document);
    // What was refused is tried again with each upload, a few at a time, beginning elsewhere each second.
    if (refused.size() > tried_again) {
        const auto begin = static_cast<std::size_t>(request.now) % refused.size();
        std::ranges::rotate(refused, refused.begin() + static_cast<std::ptrdiff_t>(begin));
        refused.resize(tried_again);
    }
    for (auto* offers : {&fresh, &refused})
        for (auto& [key, document] : *offers)
            settle(request, key, document);
}

} // namespace p2prc::daemon::rules
