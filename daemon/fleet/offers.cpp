#include "daemon/fleet/offers.h"

#include "core/json_members.h"
#include "core/process_status.h"
#include "core/records.h"
#include "state/fleet_state.h"

#include <algorithm>
#include <map>

namespace p2prc::daemon {
namespace {

bool is_up(const state::OwnState& own, const std::string& node, std::uint32_t id) {
    const auto* status = own.records().status(node, id);
    return status && (is_executed(*status) || status->state == ProcessState::Starting ||
                      status->state == ProcessState::Stopping || status->state == ProcessState::Paused);
}

// Whether a user of this node killed it, and the kill was not uploaded before the registry was lost.
bool killed_here(const state::OwnState& own, const std::string& node, std::uint32_t id) {
    const auto* action = own.records().local_action(node, id);
    return action && action->is_kill();
}

template <class Record>
bool is_of(const Record& record, std::string_view name, std::uint32_t id) {
    return record.name == name && (record.id == id || std::ranges::count(record.former_ids, id) > 0);
}

// Whether `document`, a record or a tombstone, is that of the process, by its id or a former one.
bool is_of_document(const Json& document, std::string_view name, std::uint32_t id) {
    if (json::member<std::string>(document, "name") != name) return false;
    const auto former = json::member<std::vector<std::uint32_t>>(document, "former_ids");
    return json::member<std::uint32_t>(document, "id") == id || std::ranges::count(former, id) > 0;
}

bool is_refused(const Json* answer) {
    return answer && answer->is_object() &&
           (answer->contains("refused") || answer->contains("refused_domains"));
}

// By key.
using Items = std::map<std::string_view, const Json*>;

std::string text_at(const Items& items, std::string_view key, std::string_view member) {
    const auto found = items.find(key);
    return found == items.end() ? std::string() : json::member<std::string>(*found->second, member);
}

} // namespace

Offers::Offers(state::Replica& replica, state::OwnState& own, std::function<std::string()> node,
               std::function<bool()> moving)
    : replica_(replica)
    , own_(own)
    , node_(std::move(node))
    , moving_(std::move(moving))
    , kills_(replica, own, node_) {
    subscriptions_.push_back(replica_.on_another_store([this](const std::vector<state::Change>& items) {
        kills_.repeat(items);
        make(items);
    }));
    for (const auto prefix : {keys::processes, keys::tombstones, keys::domains, keys::offers})
        subscriptions_.push_back(
            replica_.subscribe(std::string(prefix), [this](std::span<const state::Change>) { withdraw(); }));
    for (const auto prefix : {keys::processes, keys::domains})
        subscriptions_.push_back(replica_.subscribe(
            std::string(prefix), [this](std::span<const state::Change> changes) { make_again(changes); }));
    for (const auto prefix : {keys::statuses, keys::local_actions})
        subscriptions_.push_back(
            own_.subscribe(std::string(prefix), [this](std::span<const state::Change>) { withdraw(); }));
}

// The replica still has what the registry has forgotten, and is about to forget it too.
void Offers::make(const std::vector<state::Change>& items) {
    const auto node = node_();
    const auto known = [&](std::string_view name, std::uint32_t id) {
        return std::ranges::any_of(items, [&](const state::Change& item) {
            const bool holds =
                item.key.starts_with(keys::processes) || item.key.starts_with(keys::tombstones);
            return holds && item.value && json::member<std::string>(*item.value, "node") == node &&
                   is_of_document(*item.value, name, id);
        });
    };
    Items by_key;
    for (const auto& item : items)
        if (item.value) by_key.emplace(item.key, &*item.value);
    // In another fleet what was not taken along was not to be.
    const auto fleet = replica_.get(keys::fleet);
    const auto id_of_fleet = fleet ? json::member<std::string>(*fleet, "id") : std::string();
    const bool same_fleet =
        !moving_() && !id_of_fleet.empty() && text_at(by_key, keys::fleet, "id") == id_of_fleet;
    std::vector<state::Change> offers;
    const auto& agreed = replica_.records();
    for (const auto name : agreed.processes_on(node)) {
        const auto id = agreed.process(name)->record.id;
        const bool here = moving_() ? is_up(own_, node, id) : own_.get(keys::status(node, id)) != nullptr;
        if (!here || killed_here(own_, node, id)) continue;
        const bool taken = known(name, id);
        if (taken && !same_fleet) continue;
        auto domains = Json::array();
        for (const auto fqdn : agreed.domains_of(name)) {
            const auto& mapping = agreed.domain(fqdn)->record;
            const bool mine = mapping.node == node || mapping.created_by.ends_with("@" + node);
            if (!mine || (taken && text_at(by_key, keys::domain(fqdn), "process") == name)) continue;
            domains.push_back(*replica_.get(keys::domain(fqdn)));
        }
        if (taken && domains.empty()) continue;
        offers.push_back({keys::offer(node, id),
                          Json{{"process", *replica_.get(keys::process(name))}, {"domains", domains}}, 0});
    }
    own_.update(std::move(offers));
}

// What is gone may have been in the way of an offer that was refused. The registry looks at an offer when it
// is uploaded, so it is changed.
void Offers::make_again(std::span<const state::Change> changes) {
    if (std::ranges::none_of(changes, [](const state::Change& change) { return !change.value; })) return;
    std::vector<state::Change> again;
    for (const auto& [key, document] : own_.range(keys::offer_prefix(node_()))) {
        if (!is_refused(replica_.get(key).get())) continue;
        Json offer = *document;
        offer["again"] = json::member<std::uint64_t>(offer, "again") + 1;
        again.push_back({std::string(key), std::move(offer), 0});
    }
    if (!again.empty()) own_.update(std::move(again));
}

// The process has the domain, or the registry has let go of it itself since.
bool Offers::is_settled(std::string_view key, const std::string& fqdn, std::string_view process) const {
    const auto* mapping = replica_.records().domain(fqdn);
    if (mapping && mapping->record.process == process) return true;
    const auto answer = replica_.get(key);
    if (!answer) return false;
    const auto removed = json::member<std::vector<std::string>>(*answer, "removed_domains");
    return std::ranges::count(removed, fqdn) > 0;
}

void Offers::withdraw() {
    const auto node = node_();
    std::vector<std::string> settled;
    for (const auto& [key, document] : own_.range(keys::offer_prefix(node))) {
        const auto process = document->value("process", Json::object());
        const auto name = json::member<std::string>(process, "name");
        const auto id = json::member<std::uint32_t>(process, "id");
        const auto* record = replica_.records().process(name);
        const auto* tombstone = replica_.records().tombstone(id);
        const bool taken_in = record && record->record.node == node && is_of(record->record, name, id);
        const bool killed = (tombstone && is_of(tombstone->record, name, id)) ||
                            (taken_in && killed_here(own_, node, record->record.id));
        const auto domains = document->value("domains", Json::array());
        const bool mapped = std::ranges::all_of(domains, [&, at = key](const Json& domain) {
            return is_settled(at, json::member<std::string>(domain, "domain"), name);
        });
        // What ran without a record and has ended leaves no status behind.
        if (killed || (taken_in ? mapped : !own_.get(keys::status(node, id)))) settled.emplace_back(key);
    }
    for (const auto& key : settled)
        own_.erase(key);
}

} // namespace p2prc::daemon
