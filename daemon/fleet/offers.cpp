#include "daemon/fleet/offers.h"

#include "core/json_members.h"
#include "core/process_status.h"
#include "core/records.h"

#include <algorithm>

namespace p2prc::daemon {
namespace {

bool is_up(const OwnState& own, const std::string& node, std::uint32_t id) {
    const auto* document = own.get(keys::status(node, id));
    if (!document) return false;
    const auto state = status_from_json(*document).state;
    return state == ProcessState::Running || state == ProcessState::Starting ||
           state == ProcessState::Stopping;
}

// A user of this node has ended it, and the registry that is no more was to hear of it yet.
bool killed_here(const OwnState& own, const std::string& node, std::uint32_t id) {
    const auto* action = own.get("/local/" + node + "/" + std::to_string(id));
    return action && json::member<std::string>(*action, "action") == "kill";
}

// Whether `document`, a record or a tombstone, is that of the process, by its id or a former one.
bool is_of(const Json& document, const std::string& name, std::uint32_t id) {
    if (json::member<std::string>(document, "name") != name) return false;
    const auto former = json::member<std::vector<std::uint32_t>>(document, "former_ids");
    return json::member<std::uint32_t>(document, "id") == id || std::ranges::count(former, id) > 0;
}

} // namespace

Offers::Offers(Replica& replica, OwnState& own, std::function<std::string()> node,
               std::function<bool()> moving)
    : replica_(replica)
    , own_(own)
    , node_(std::move(node))
    , moving_(std::move(moving)) {
    subscriptions_.push_back(
        replica_.on_another_store([this](const std::vector<Change>& items) { make(items); }));
    for (const char* prefix : {"/processes/", "/tombstones/"})
        subscriptions_.push_back(replica_.subscribe(prefix, [this](std::span<const Change>) { withdraw(); }));
    for (const char* prefix : {"/processes/", "/domains/"})
        subscriptions_.push_back(
            replica_.subscribe(prefix, [this](std::span<const Change> changes) { make_again(changes); }));
    subscriptions_.push_back(own_.subscribe("/status/", [this](std::span<const Change>) { withdraw(); }));
}

// The replica still has what the registry has forgotten, and is about to forget it too.
void Offers::make(const std::vector<Change>& items) {
    const auto node = node_();
    const auto known = [&](const std::string& name, std::uint32_t id) {
        return std::ranges::any_of(items, [&](const Change& item) {
            const bool holds = item.key.starts_with("/processes/") || item.key.starts_with("/tombstones/");
            return holds && item.value && json::member<std::string>(*item.value, "node") == node &&
                   is_of(*item.value, name, id);
        });
    };
    std::vector<Change> offers;
    for (const auto& [key, document] : replica_.range("/processes/")) {
        if (json::member<std::string>(*document, "node") != node) continue;
        const auto id = json::member<std::uint32_t>(*document, "id");
        const auto name = json::member<std::string>(*document, "name");
        const bool here = moving_() ? is_up(own_, node, id) : own_.get(keys::status(node, id)) != nullptr;
        if (!here || killed_here(own_, node, id) || known(name, id)) continue;
        auto domains = Json::array();
        for (const auto& [ignored, mapping] : replica_.range("/domains/"))
            if (json::member<std::string>(*mapping, "process") == name) domains.push_back(*mapping);
        offers.push_back({keys::offer(node, id), Json{{"process", *document}, {"domains", domains}}, 0});
    }
    own_.update(std::move(offers));
}

// What is gone may have been in the way of an offer that was refused. The registry looks at an offer when it
// is uploaded, so it is changed.
void Offers::make_again(std::span<const Change> changes) {
    if (std::ranges::none_of(changes, [](const Change& change) { return !change.value; })) return;
    std::vector<Change> again;
    for (const auto& [key, document] : own_.range(keys::offer_prefix(node_()))) {
        const auto* answered = replica_.get(key);
        if (!answered || !answered->is_object() || !answered->contains("refused")) continue;
        Json offer = *document;
        offer["again"] = json::member<std::uint64_t>(offer, "again") + 1;
        again.push_back({std::string(key), std::move(offer), 0});
    }
    if (!again.empty()) own_.update(std::move(again));
}

void Offers::withdraw() {
    const auto node = node_();
    std::vector<std::string> settled;
    for (const auto& [key, document] : own_.range(keys::offer_prefix(node))) {
        const auto process = document->value("process", Json::object());
        const auto name = json::member<std::string>(process, "name");
        const auto id = json::member<std::uint32_t>(process, "id");
        const auto* record = replica_.get(keys::process(name));
        const auto* tombstone = replica_.get(keys::tombstone(id));
        const bool taken_in =
            record && json::member<std::string>(*record, "node") == node && is_of(*record, name, id);
        const bool killed = tombstone && is_of(*tombstone, name, id);
        // What ran without a record and has ended leaves no status behind.
        if (taken_in || killed || !own_.get(keys::status(node, id))) settled.emplace_back(key);
    }
    for (const auto& key : settled)
        own_.erase(key);
}

} // namespace p2prc::daemon
