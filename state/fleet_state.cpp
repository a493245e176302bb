#include "state/fleet_state.h"

#include "core/gate.h"
#include "core/json_members.h"

#include <algorithm>
#include <array>

namespace p2prc::state {
namespace {

using Json = nlohmann::json;

template <class Index, class Item>
void add(Index& index, const std::string& to, const Item& item) {
    index[to].insert(item);
}

template <class Index, class Item>
void remove(Index& index, const std::string& from, const Item& item) {
    const auto found = index.find(from);
    if (found == index.end()) return;
    found->second.erase(item);
    if (found->second.empty()) index.erase(found);
}

template <class Index, class Key>
const typename Index::mapped_type& look(const Index& index, const Key& key) {
    static const typename Index::mapped_type none;
    const auto found = index.find(key);
    return found == index.end() ? none : found->second;
}

template <class Table, class Key>
const typename Table::mapped_type* find(const Table& table, const Key& key) {
    const auto found = table.find(key);
    return found == table.end() ? nullptr : &found->second;
}

template <class Entry>
const Entry* find(const FleetState::Entries<Entry>& entries, std::string_view name) {
    const auto found = entries.find(name);
    return found == entries.end() ? nullptr : found->get();
}

} // namespace

bool FleetState::keeps_record_of(std::string_view key) {
    constexpr std::array families{keys::nodes, keys::processes, keys::domains, keys::tombstones,
                                  keys::statuses};
    const auto* family = keys::family_of(key);
    return family && std::ranges::find(families, family->prefix) != families.end();
}

void FleetState::put(std::string_view key, const SharedDocument::Pointer& shared) {
    if (auto process = SharedDocument::process(shared)) return put_process(std::move(process));
    if (auto domain = SharedDocument::domain(shared)) return put_domain(std::move(domain));
    const auto parsed = keys::parse(key);
    if (parsed) put_status(parsed->node(), parsed->id(), SharedDocument::status(shared));
}

void FleetState::put(std::string_view key, const Json& document, SharedDocument::Pointer shared) {
    if (key == keys::fleet) {
        fleet_ = read_entry(key, document, accept_fleet, fleet_from_json);
        return;
    }
    const auto* family = keys::family_of(key);
    if (!family) return;
    const auto prefix = family->prefix;
    if (prefix == keys::processes || prefix == keys::domains || prefix == keys::statuses) {
        if (!shared) shared = SharedDocument::of(key, document_text(document), document);
        return put(key, shared);
    }
    const std::string text(key);
    if (prefix == keys::infos) put_address(key.substr(prefix.size()), document);
    if (prefix == keys::nodes) put_node(text, key.substr(prefix.size()), document);
    const auto parsed = keys::parse(key);
    if (!parsed) return;
    if (prefix == keys::tombstones) put_tombstone(text, parsed->id(), document);
    if (prefix == keys::local_actions) {
        auto action = local_action_from_json(document);
        action.id = parsed->id();
        local_actions_[std::string(parsed->node())].insert_or_assign(action.id, std::move(action));
    }
}

void FleetState::erase(std::string_view key) {
    if (key == keys::fleet) return fleet_.reset();
    const auto* family = keys::family_of(key);
    if (!family) return;
    const auto prefix = family->prefix;
    const auto name = key.substr(prefix.size());
    if (prefix == keys::nodes) erase_node(name);
    if (prefix == keys::infos) addresses_.erase(name);
    if (prefix == keys::processes) erase_process(name);
    if (prefix == keys::domains) erase_domain(name);
    const auto parsed = keys::parse(key);
    if (!parsed) return;
    if (prefix == keys::tombstones) erase_tombstone(parsed->id());
    if (prefix == keys::statuses) erase_status(parsed->node(), parsed->id());
    if (prefix == keys::local_actions) {
        const auto actions = local_actions_.find(parsed->node());
        if (actions != local_actions_.end()) actions->second.erase(parsed->id());
    }
}

void FleetState::clear() {
    *this = FleetState();
}

void FleetState::put_node(const std::string& key, std::string_view name, const Json& document) {
    erase_node(name);
    const auto [at, ignored] = nodes_.emplace(name, read_entry(key, document, accept_node, node_from_json));
    nodes_by_key_.add(at->second.record.key, at->first);
}

void FleetState::erase_node(std::string_view name) {
    const auto at = nodes_.find(name);
    if (at == nodes_.end()) return;
    nodes_by_key_.remove(at->second.record.key, at->first);
    nodes_.erase(at);
}

void FleetState::put_address(std::string_view node, const Json& info) {
    auto address = json::member<std::string>(info, "ipv4");
    if (address.empty()) address = json::member<std::string>(info, "ipv6");
    addresses_.insert_or_assign({std::string(node), std::move(address)});
}

void FleetState::put_process(std::shared_ptr<const ProcessEntry> entry) {
    const auto& record = entry->record;
    erase_process(record.name);
    processes_by_id_.insert({record.id, record.name});
    processes_by_node_.add(record.node, record.name);
    processes_.insert(std::move(entry));
}

void FleetState::erase_process(std::string_view name) {
    const auto at = processes_.find(name);
    if (at == processes_.end()) return;
    const auto& record = (*at)->record;
    processes_by_id_.erase(std::pair(record.id, std::string_view(record.name)));
    processes_by_node_.remove(record.node, record.name);
    processes_.erase(at);
}

void FleetState::put_domain(std::shared_ptr<const DomainEntry> entry) {
    const auto& record = entry->record;
    erase_domain(record.domain);
    domains_by_process_.add(record.process, record.domain);
    domains_by_node_.add(record.node, record.domain);
    domains_.insert(std::move(entry));
}

void FleetState::erase_domain(std::string_view fqdn) {
    const auto at = domains_.find(fqdn);
    if (at == domains_.end()) return;
    const auto& record = (*at)->record;
    domains_by_process_.remove(record.process, record.domain);
    domains_by_node_.remove(record.node, record.domain);
    domains_.erase(at);
}

void FleetState::put_tombstone(const std::string& key, std::uint32_t id, const Json& document) {
    erase_tombstone(id);
    const auto [at, ignored] =
        tombstones_.emplace(id, read_entry(key, document, accept_tombstone, tombstone_from_json));
    add(tombstones_by_name_, at->second.record.name, id);
    add(tombstones_by_node_, at->second.record.node, id);
}

void FleetState::erase_tombstone(std::uint32_t id) {
    const auto at = tombstones_.find(id);
    if (at == tombstones_.end()) return;
    remove(tombstones_by_name_, at->second.record.name, id);
    remove(tombstones_by_node_, at->second.record.node, id);
    tombstones_.erase(at);
}

void FleetState::put_status(std::string_view node, std::uint32_t id,
                            std::shared_ptr<const ProcessStatus> status) {
    erase_status(node, id);
    auto& reports = statuses_[std::string(node)];
    const auto [at, ignored] = reports.by_id.emplace(id, std::move(status));
    reports.by_name.insert({at->second->name, id});
}

void FleetState::erase_status(std::string_view node, std::uint32_t id) {
    const auto of_node = statuses_.find(node);
    if (of_node == statuses_.end()) return;
    auto& reports = of_node->second;
    const auto at = reports.by_id.find(id);
    if (at == reports.by_id.end()) return;
    reports.by_name.erase(std::pair(std::string_view(at->second->name), id));
    reports.by_id.erase(at);
    if (reports.by_id.empty()) statuses_.erase(of_node);
}

const NodeEntry* FleetState::node(std::string_view name) const {
    return find(nodes_, name);
}

const NodeEntry* FleetState::node_with_key(std::string_view fingerprint) const {
    if (fingerprint.empty()) return nullptr;
    const auto names = nodes_by_key_.of(fingerprint);
    return names.empty() ? nullptr : node(*names.begin());
}

std::string_view FleetState::address_of(std::string_view node) const {
    const auto found = addresses_.find(node);
    return found == addresses_.end() ? std::string_view() : found->second;
}

const ProcessEntry* FleetState::process(std::string_view name) const {
    return find(processes_, name);
}

const ProcessEntry* FleetState::process(std::uint32_t id) const {
    const auto at = processes_by_id_.lower_bound(std::pair(id, std::string_view()));
    return at == processes_by_id_.end() || at->first != id ? nullptr : process(at->second);
}

std::vector<const ProcessEntry*> FleetState::processes_with(std::uint32_t id) const {
    std::vector<const ProcessEntry*> found;
    for (auto at = processes_by_id_.lower_bound(std::pair(id, std::string_view()));
         at != processes_by_id_.end() && at->first == id; ++at)
        found.push_back(process(at->second));
    return found;
}

FleetState::Names FleetState::processes_on(std::string_view node) const {
    return processes_by_node_.of(node);
}

const DomainEntry* FleetState::domain(std::string_view fqdn) const {
    return find(domains_, fqdn);
}

FleetState::Names FleetState::domains_of(std::string_view process) const {
    return domains_by_process_.of(process);
}

FleetState::Names FleetState::domains_on(std::string_view node) const {
    return domains_by_node_.of(node);
}

const TombstoneEntry* FleetState::tombstone(std::uint32_t id) const {
    return find(tombstones_, id);
}

const std::set<std::uint32_t>& FleetState::tombstones_of(std::string_view process) const {
    return look(tombstones_by_name_, process);
}

const std::set<std::uint32_t>& FleetState::tombstones_on(std::string_view node) const {
    return look(tombstones_by_node_, node);
}

const std::map<std::uint32_t, std::shared_ptr<const ProcessStatus>>&
FleetState::statuses(std::string_view node) const {
    return look(statuses_, node).by_id;
}

const ProcessStatus* FleetState::status(std::string_view node, std::uint32_t id) const {
    const auto* status = find(statuses(node), id);
    return status ? status->get() : nullptr;
}

std::vector<std::uint32_t> FleetState::statuses_of(std::string_view node, std::string_view process) const {
    std::vector<std::uint32_t> ids;
    const auto& names = look(statuses_, node).by_name;
    for (auto at = names.lower_bound(std::pair(process, std::uint32_t{0}));
         at != names.end() && at->first == process; ++at)
        ids.push_back(at->second);
    return ids;
}

const std::map<std::uint32_t, LocalAction>& FleetState::local_actions(std::string_view node) const {
    return look(local_actions_, node);
}

const LocalAction* FleetState::local_action(std::string_view node, std::uint32_t id) const {
    return find(local_actions(node), id);
}

} // namespace p2prc::state
