#include "daemon/registry/draft.h"

#include "core/json_members.h"
#include "daemon/registry/registry.h"
#include "daemon/state/state.h"

namespace p2prc::daemon {
namespace {

template <class Record>
std::optional<Record> read(const Json* document, Result<Record> (*reader)(const Json&)) {
    if (!document) return std::nullopt;
    auto record = reader(*document);
    if (!record) return std::nullopt;
    return std::move(*record);
}

template <class Record>
std::vector<Record> read_all(const Draft& draft, std::string_view prefix,
                             Result<Record> (*reader)(const Json&)) {
    std::vector<Record> records;
    for (const auto& [key, document] : draft.range(prefix))
        if (auto record = reader(*document)) records.push_back(std::move(*record));
    return records;
}

} // namespace

std::size_t document_size(const Json& value) {
    return document_text(value).size();
}

std::size_t Draft::committed_size(std::string_view key) const {
    const auto it = mirror_.agreed.find(key);
    return it == mirror_.agreed.end() ? 0 : it->first.size() + it->second.size;
}

const Json* Draft::look(const Table& table, const Writes& writes, std::string_view key) {
    if (const auto written = writes.find(key); written != writes.end())
        return written->second ? &*written->second : nullptr;
    const auto it = table.find(key);
    return it == table.end() ? nullptr : &it->second.value;
}

std::vector<std::pair<std::string, const Json*>> Draft::list(const Table& table, const Writes& writes,
                                                             std::string_view prefix) {
    std::vector<std::pair<std::string, const Json*>> found;
    const auto below = [&](const auto& it, const auto& map) {
        return it != map.end() && it->first.starts_with(prefix);
    };
    auto committed = table.lower_bound(prefix);
    auto written = writes.lower_bound(prefix);
    while (below(committed, table) || below(written, writes)) {
        if (!below(written, writes) || (below(committed, table) && committed->first < written->first)) {
            found.emplace_back(committed->first, &committed->second.value);
            ++committed;
            continue;
        }
        if (below(committed, table) && committed->first == written->first) ++committed;
        if (written->second) found.emplace_back(written->first, &*written->second);
        ++written;
    }
    return found;
}

std::optional<FleetRecord> Draft::fleet() const {
    return read(get(keys::fleet), fleet_from_json);
}
std::optional<NodeRecord> Draft::node(std::string_view name) const {
    return read(get(keys::node(name)), node_from_json);
}
std::vector<NodeRecord> Draft::nodes() const {
    return read_all(*this, "/nodes/", node_from_json);
}
std::optional<ProcessRecord> Draft::process(std::string_view name) const {
    return read(get(keys::process(name)), process_from_json);
}
std::optional<ProcessRecord> Draft::process(std::uint32_t id) const {
    for (const auto& [key, document] : range("/processes/"))
        if (json::member<std::uint32_t>(*document, "id") == id) return read(document, process_from_json);
    return std::nullopt;
}
std::vector<ProcessRecord> Draft::processes() const {
    return read_all(*this, "/processes/", process_from_json);
}
std::optional<DomainRecord> Draft::domain(std::string_view fqdn) const {
    return read(get(keys::domain(fqdn)), domain_from_json);
}
std::vector<DomainRecord> Draft::domains() const {
    return read_all(*this, "/domains/", domain_from_json);
}
std::vector<DomainRecord> Draft::domains_of(std::string_view process) const {
    std::vector<DomainRecord> found;
    for (const auto& [key, document] : range("/domains/")) {
        if (json::member<std::string>(*document, "process") != process) continue;
        if (auto mapping = domain_from_json(*document)) found.push_back(std::move(*mapping));
    }
    return found;
}
std::vector<Tombstone> Draft::tombstones() const {
    return read_all(*this, "/tombstones/", tombstone_from_json);
}

std::uint32_t Draft::counter(std::string_view key) const {
    const auto* stored = get_secret(key);
    return stored && stored->is_number_unsigned() ? stored->get<std::uint32_t>() : 0;
}

std::uint32_t Draft::next(const std::string& key) {
    const auto id = counter(key) + 1;
    put_secret(key, id);
    return id;
}

void Draft::seen(const std::string& key, std::uint32_t id) {
    if (id > counter(key)) put_secret(key, id);
}

void Draft::skip_ids(std::uint32_t count) {
    for (const std::string key : {"counters/process", "counters/mapping"})
        put_secret(key, counter(key) + count);
}

store::Txn Draft::transaction() const {
    store::Txn txn;
    const auto add = [&](std::string_view name, const Table& table, const Writes& writes) {
        for (const auto& [key, value] : writes) {
            const auto it = table.find(key);
            if (!value && it == table.end()) continue;
            if (value && it != table.end() && it->second.value == *value) continue;
            txn.then.push_back(value ? store::put(std::string(name), key, document_text(*value))
                                     : store::erase(std::string(name), key));
        }
    };
    add(replicated_table, mirror_.agreed, agreed_);
    add(private_table, mirror_.secrets, secrets_);
    return txn;
}

void Draft::apply_to(Mirror& mirror, std::uint64_t revision) const {
    const auto apply = [&](Table& table, const Writes& writes) {
        for (const auto& [key, value] : writes) {
            if (!value) {
                table.erase(key);
                continue;
            }
            auto& document = table[key];
            if (document.revision && document.value == *value) continue;
            document = {*value, revision, document_size(*value)};
        }
    };
    apply(mirror.agreed, agreed_);
    apply(mirror.secrets, secrets_);
}

} // namespace p2prc::daemon
