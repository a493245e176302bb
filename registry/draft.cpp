#include "registry/draft.h"

#include "core/json_members.h"
#include "core/revision.h"
#include "registry/registry.h"
#include "state/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

namespace p2prc::registry {
namespace {

constexpr auto last_number = std::numeric_limits<std::uint32_t>::max();

template <class Entry>
auto read_of(const Entry* entry) -> std::optional<decltype(entry->record)> {
    if (!entry || !entry->readable) return std::nullopt;
    return entry->record;
}

// Followed by the last id that was given out before the store was restored; the value is the last one of
// those that are lost.
std::string lost_mappings() {
    return keys::counter("lost-mappings-");
}

} // namespace

std::size_t document_size(const Json& value) {
    return state::document_text(value).size();
}

const Json* Draft::look(const Table& table, const Writes& writes, std::string_view key) const {
    if (const auto written = writes.find(key); written != writes.end())
        return written->second ? &written->second->value : nullptr;
    // The two tables have no keys in common.
    if (const auto known = read_.find(key); known != read_.end()) return &known->second;
    const auto it = table.find(key);
    if (it == table.end()) return nullptr;
    return &read_.emplace(it->first, it->second->read()).first->second;
}

std::vector<std::string> Draft::list(const Table& table, const Writes& writes, std::string_view prefix) {
    std::vector<std::string> found;
    const auto below = [&](const auto& it, const auto& map) {
        return it != map.end() && it->first.starts_with(prefix);
    };
    auto committed = table.lower_bound(prefix);
    auto written = writes.lower_bound(prefix);
    while (below(committed, table) || below(written, writes)) {
        if (!below(written, writes) || (below(committed, table) && committed->first < written->first)) {
            found.push_back(committed->first);
            ++committed;
            continue;
        }
        if (below(committed, table) && committed->first == written->first) ++committed;
        if (written->second) found.push_back(written->first);
        ++written;
    }
    return found;
}

std::vector<std::pair<std::string, const Json*>> Draft::range(std::string_view prefix) const {
    std::vector<std::pair<std::string, const Json*>> found;
    for (auto& key : list(mirror_.agreed, agreed_, prefix)) {
        const Json* document = get(key);
        found.emplace_back(std::move(key), document);
    }
    return found;
}

std::vector<std::pair<std::string, const Json*>> Draft::range_secret(std::string_view prefix) const {
    std::vector<std::pair<std::string, const Json*>> found;
    for (auto& key : list(mirror_.secrets, secrets_, prefix)) {
        const Json* document = get_secret(key);
        found.emplace_back(std::move(key), document);
    }
    return found;
}

// What the node's share loses with the present document, and gets with the new one.
void Draft::account(const std::string& key, const Json* now, std::size_t size) {
    const auto* family = keys::family_of(key);
    if (!family || family->share == keys::Share::None) return;
    if (const auto written = agreed_.find(key); written != agreed_.end()) {
        if (written->second) change_.count(key, &written->second->value, written->second->shared->size(), -1);
    } else if (const auto before = mirror_.agreed.find(key); before != mirror_.agreed.end()) {
        change_.count(key, family->counts_by_key() ? nullptr : get(key), before->second->size(), -1);
    }
    if (now) change_.count(key, now, size);
}

void Mirror::put_record(const std::string& key, const Json& value,
                        const state::SharedDocument::Pointer& shared) {
    if (!key.starts_with(keys::statuses)) records.put(key, value, shared);
}

void Draft::put(const std::string& key, Json value, std::string text) {
    auto shared = state::SharedDocument::of(key, std::move(text), value);
    account(key, &value, shared->size());
    written_.put(key, value, shared);
    agreed_[key] = Write{std::move(value), std::move(shared)};
}

void Draft::erase(const std::string& key) {
    account(key, nullptr, 0);
    written_.erase(key);
    agreed_[key] = std::nullopt;
}

Share Draft::share_of(std::string_view name) const {
    const auto record = node(name);
    const std::string key = record ? record->key : "";
    auto share = mirror_.shares.of(name, key);
    share += change_.of(name, key);
    return share;
}

void Draft::put_secret(const std::string& key, const Json& value) {
    secrets_[key] = Write{value, state::SharedDocument::of(key, state::document_text(value), value)};
}

bool Draft::writes_secret(std::string_view prefix) const {
    const auto at = secrets_.lower_bound(prefix);
    return at != secrets_.end() && at->first.starts_with(prefix);
}

template <class Entry, class Name>
const Entry* Draft::current(const std::string& key, const Entry* (state::FleetState::*find)(Name) const,
                            Name name) const {
    return ((agreed_.contains(key) ? written_ : mirror_.records).*find)(name);
}

template <class Names, class KeyOf>
std::set<typename Names::value_type> Draft::present(const Names& committed, const Names& written,
                                                    KeyOf key_of) const {
    if (agreed_.empty()) return {committed.begin(), committed.end()};
    std::set<typename Names::value_type> names(written.begin(), written.end());
    for (const auto& name : committed)
        if (!agreed_.contains(key_of(name))) names.insert(name);
    return names;
}

std::optional<FleetRecord> Draft::fleet() const {
    return read_of((agreed_.contains(keys::fleet) ? written_ : mirror_.records).fleet());
}

std::optional<NodeRecord> Draft::node(std::string_view name) const {
    return read_of(current<state::NodeEntry>(keys::node(name), &state::FleetState::node, name));
}

std::vector<NodeRecord> Draft::nodes() const {
    std::vector<NodeRecord> records;
    for (const auto& key : keys_below(keys::nodes))
        if (auto record = node(keys::last_part(key))) records.push_back(std::move(*record));
    return records;
}

std::optional<ProcessRecord> Draft::process(std::string_view name) const {
    return read_of(current<state::ProcessEntry>(keys::process(name), &state::FleetState::process, name));
}

std::optional<ProcessRecord> Draft::process(std::uint32_t id) const {
    if (const auto* entry = written_.process(id)) return read_of(entry);
    for (const auto* entry : mirror_.records.processes_with(id))
        if (!agreed_.contains(keys::process(entry->record.name))) return read_of(entry);
    return std::nullopt;
}

std::vector<std::string> Draft::process_names() const {
    std::vector<std::string> names;
    for (const auto& key : keys_below(keys::processes))
        names.emplace_back(keys::last_part(key));
    return names;
}

std::vector<ProcessRecord> Draft::processes() const {
    std::vector<ProcessRecord> records;
    for (const auto& name : process_names())
        if (auto record = process(name)) records.push_back(std::move(*record));
    return records;
}

std::vector<ProcessRecord> Draft::processes_on(std::string_view node) const {
    std::vector<ProcessRecord> records;
    for (const auto name :
         present(mirror_.records.processes_on(node), written_.processes_on(node), keys::process))
        if (auto record = process(name)) records.push_back(std::move(*record));
    return records;
}

std::map<std::uint16_t, std::string> Draft::ports_on(std::string_view node) const {
    std::map<std::uint16_t, std::string> ports;
    for (const auto name :
         present(mirror_.records.processes_on(node), written_.processes_on(node), keys::process)) {
        const auto* entry =
            current<state::ProcessEntry>(keys::process(name), &state::FleetState::process, name);
        for (const auto port : ports_of(entry->record))
            ports.emplace(port, name);
        // One that was started first runs on for a while beside what has replaced it.
        const bool beside = entry->record.spec.update.order == UpdateOrder::StartFirst;
        if (const auto* former =
                beside ? last_good_revision(entry->record) : fallback_revision(entry->record))
            for (const auto port : ports_of(*former))
                ports.emplace(port, name);
    }
    return ports;
}

std::optional<DomainRecord> Draft::domain(std::string_view fqdn) const {
    return read_of(current<state::DomainEntry>(keys::domain(fqdn), &state::FleetState::domain, fqdn));
}

std::vector<DomainRecord> Draft::domains() const {
    std::vector<DomainRecord> records;
    for (const auto& key : keys_below(keys::domains))
        if (auto record = domain(keys::last_part(key))) records.push_back(std::move(*record));
    return records;
}

std::vector<DomainRecord> Draft::domains_of(std::string_view process) const {
    std::vector<DomainRecord> records;
    for (const auto fqdn :
         present(mirror_.records.domains_of(process), written_.domains_of(process), keys::domain))
        if (auto record = domain(fqdn)) records.push_back(std::move(*record));
    return records;
}

std::optional<Tombstone> Draft::tombstone(std::uint32_t id) const {
    return read_of(current<state::TombstoneEntry>(keys::tombstone(id), &state::FleetState::tombstone, id));
}

std::vector<Tombstone> Draft::tombstones_on(std::string_view node) const {
    std::vector<Tombstone> records;
    for (const auto id :
         present(mirror_.records.tombstones_on(node), written_.tombstones_on(node), keys::tombstone))
        if (auto record = tombstone(id)) records.push_back(std::move(*record));
    return records;
}

std::uint32_t Draft::counter(std::string_view name) const {
    const auto* stored = get_secret(keys::counter(name));
    return stored && stored->is_number_unsigned() ? stored->get<std::uint32_t>() : 0;
}

Result<std::uint32_t> Draft::next(std::string_view name) {
    const auto last = counter(name);
    if (last == last_number)
        return fail(ErrorCode::Conflict,
                    fmt::format("the fleet's registry has no number left for another {}", name),
                    "nobody has made so many: the registry was tampered with; put a backup of registry.db "
                    "in its place, on the root node, while p2prcd is stopped there");
    put_secret(keys::counter(name), last + 1);
    return last + 1;
}

Result<std::uint32_t> Draft::next_process_id() {
    for (;;) {
        const auto id = next(process_counter);
        if (!id || (!has_process_id(*id) && !avoided_ids_.contains(*id))) return id;
    }
}

bool Draft::claim_process_id(std::uint32_t id) {
    const auto last = counter(process_counter);
    if (id <= last) return true;
    const std::uint64_t claimed = std::uint64_t{counter(claimed_counter)} + (id - last);
    if (claimed > most_claimed_ids) return false;
    put_secret(keys::counter(claimed_counter), claimed);
    seen_process_id(id);
    return true;
}

bool Draft::has_process_id(std::uint32_t id) const {
    if (written_.process(id) || get(keys::tombstone(id))) return true;
    return std::ranges::any_of(mirror_.records.processes_with(id), [&](const state::ProcessEntry* entry) {
        return !agreed_.contains(keys::process(entry->record.name));
    });
}

void Draft::seen(std::string_view name, std::uint32_t id) {
    if (id > counter(name)) put_secret(keys::counter(name), id);
}

void Draft::skip_ids(std::uint32_t count) {
    for (const auto name : {process_counter, mapping_counter}) {
        const auto last = counter(name);
        put_secret(keys::counter(name), last + std::min(count, last_number - last));
    }
    erase_secret(keys::counter(claimed_counter));
}

void Draft::note_lost_mappings(std::uint32_t count) {
    const auto last = counter(mapping_counter);
    put_secret(fmt::format("{}{}", lost_mappings(), last), last + std::min(count, last_number - last));
}

bool Draft::is_lost_mapping(std::uint32_t id) const {
    const auto prefix = lost_mappings();
    return std::ranges::any_of(range_secret(prefix), [&](const auto& item) {
        const auto before = keys::id_from_text(std::string_view(item.first).substr(prefix.size()));
        return before && *before < id && item.second->is_number_unsigned() &&
               id <= item.second->template get<std::uint32_t>();
    });
}

store::Txn Draft::transaction() const {
    store::Txn txn;
    const auto add = [&](std::string_view name, const Table& table, const Writes& writes) {
        for (const auto& [key, write] : writes) {
            const auto it = table.find(key);
            if (!write && it == table.end()) continue;
            if (write && it != table.end() && it->second->says_the_same(*write->shared)) continue;
            txn.then.push_back(write ? store::put(std::string(name), key, write->shared->text())
                                     : store::erase(std::string(name), key));
        }
    };
    add(replicated_table, mirror_.agreed, agreed_);
    add(private_table, mirror_.secrets, secrets_);
    return txn;
}

void Draft::apply_to(Mirror& mirror) const {
    const auto apply = [](Table& table, const Writes& writes) {
        for (const auto& [key, write] : writes) {
            if (write)
                table.insert_or_assign({key, write->shared});
            else
                table.erase(key);
        }
    };
    apply(mirror.agreed, agreed_);
    apply(mirror.secrets, secrets_);
    for (const auto& [key, write] : agreed_) {
        if (write)
            mirror.put_record(key, write->value, write->shared);
        else
            mirror.records.erase(key);
    }
    mirror.shares.add(change_);
}

} // namespace p2prc::registry
