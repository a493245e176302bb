#include "daemon/api/view.h"

#include "core/gate.h"
#include "core/json_members.h"
#include "core/text.h"
#include "net/clock.h"
#include "state/find_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::daemon {

namespace {

template <class Entry>
auto accepted_of(const Entry* entry) {
    return entry ? entry->accepted() : nullptr;
}

template <class Record>
std::shared_ptr<const Record> kept_in(const state::FleetState::Entries<state::EntryOf<Record>>& entries,
                                      std::string_view name) {
    const auto& entry = *entries.find(name);
    return {entry, &entry->record};
}

} // namespace

View::View(state::State& replica, state::State& own, std::function<std::string()> node,
           std::function<bool()> reachable)
    : replica_(&replica)
    , own_(&own)
    , node_(std::move(node))
    , reachable_(std::move(reachable)) {}

std::shared_ptr<const Json> View::get(const std::string& key) const {
    const auto parsed = keys::parse(key);
    const bool own =
        parsed && parsed->family->is_own() && (parsed->node().empty() || parsed->node() == node());
    return own ? own_->get(key) : replica_->get(key);
}

const FleetRecord* View::fleet() const {
    return accepted_of(records().fleet());
}

const NodeRecord* View::node_record(std::string_view name) const {
    return accepted_of(records().node(name));
}

const ProcessRecord* View::process(std::string_view name) const {
    const auto* entry = records().process(name);
    const auto* record = entry ? entry->read() : nullptr;
    return record && !killed_here(*record) ? record : nullptr;
}

const ProcessRecord* View::process(std::uint32_t id) const {
    const auto* entry = records().process(id);
    const auto* record = entry ? entry->read() : nullptr;
    return record && !killed_here(*record) ? record : nullptr;
}

const DomainRecord* View::domain(std::string_view fqdn) const {
    return accepted_of(records().domain(fqdn));
}

const ProcessStatus* View::status(std::string_view node, std::uint32_t id) const {
    const state::State& from = node == node_() ? *own_ : *replica_;
    return from.records().status(node, id);
}

std::string View::address_of(std::string_view node) const {
    const state::State& from = node == node_() ? *own_ : *replica_;
    return std::string(from.records().address_of(node));
}

std::shared_ptr<const ProcessRecord> View::kept(const ProcessRecord& record) const {
    return kept_in(records().processes(), record.name);
}

std::shared_ptr<const DomainRecord> View::kept(const DomainRecord& record) const {
    return kept_in(records().domains(), record.domain);
}

std::vector<const DomainRecord*> View::domains_of(const ProcessRecord& process) const {
    std::vector<const DomainRecord*> mine;
    for (const auto fqdn : records().domains_of(process.name))
        if (const auto* record = domain(fqdn)) mine.push_back(record);
    std::ranges::sort(mine, {}, &DomainRecord::mapping_id);
    return mine;
}

std::optional<ProcessRecord> View::offered(const std::string& id) const {
    for (const auto& [key, document] : replica_->range(keys::offers))
        if (keys::last_part(key) == id)
            if (auto record = accept_offer(key, *document)) return std::move(*record);
    return std::nullopt;
}

Result<ProcessRecord> View::find_process(const std::string& text) const {
    auto found = state::find_process(*this, text);
    if (found || found.error().code != ErrorCode::NotFound) return found;
    const auto killed = std::ranges::find_if(killed_, [&text](const Tombstone& tombstone) {
        return tombstone.name == text || std::to_string(tombstone.id) == text;
    });
    if (killed == killed_.end()) return found;
    return fail(ErrorCode::NotFound,
                fmt::format("there is no process '{}' any more: on '{}', {} killed it at {}", killed->name,
                            killed->node, text::excerpt(killed->by), text::excerpt(killed->at)),
                found.error().hint);
}

void View::note_killed(Tombstone tombstone) {
    constexpr std::size_t most_killed = 100;
    std::erase_if(killed_, [&tombstone](const Tombstone& known) { return known.id == tombstone.id; });
    killed_.push_front(std::move(tombstone));
    if (killed_.size() > most_killed) killed_.pop_back();
}

void View::note_reported_kill(Tombstone reported) {
    if (std::ranges::count(killed_, reported.id, &Tombstone::id) == 0) note_killed(std::move(reported));
}

std::vector<std::string> View::process_names() const {
    std::vector<std::string> names;
    for (const ProcessRecord& record : processes())
        names.push_back(record.name);
    return names;
}

std::shared_ptr<const Json> View::edge() const {
    const auto* about = fleet();
    return about && !about->root.empty() ? get(keys::edge(about->root)) : nullptr;
}

std::string View::live(const std::string& name) const {
    if (name == node()) return "up";
    const auto document = replica_->get(keys::live(name));
    const auto state = document ? json::member<std::string>(*document, "state") : std::string();
    return state == "up" || state == "suspect" ? state : "lost";
}

std::string View::live_since(const std::string& name) const {
    const auto document = replica_->get(keys::live(name));
    return document ? json::member<std::string>(*document, "since") : "";
}

std::string View::last_heard(const std::string& name) const {
    if (name == node()) return net::now_rfc3339();
    // The root hears of a node that is up every few seconds, and writes down when it does not any more.
    if (live(name) == "up") return is_current() ? net::now_rfc3339() : "";
    const auto document = replica_->get(keys::live(name));
    return document ? json::member<std::string>(*document, "heard") : "";
}

bool View::killed_here(const ProcessRecord& record) const {
    if (record.node != node()) return false;
    const auto* action = own_->records().local_action(record.node, record.id);
    return action && action->is_kill() && !taken_in(record, *action);
}

} // namespace p2prc::daemon
