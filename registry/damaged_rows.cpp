#include "registry/damaged_rows.h"

#include "core/json_members.h"
#include "core/records.h"
#include "core/text.h"
#include "net/file.h"
#include "registry/draft.h"
#include "registry/registry.h"
#include "store/sqlite.h"

#include <filesystem>
#include <sstream>

namespace p2prc::registry {
namespace {

constexpr std::size_t most_named = 5;

template <class Record>
bool is_named(std::string_view key, const Result<Record>& record, const std::string Record::* name) {
    return record && keys::last_part(key) == (*record).*name;
}

// The readers of records take what is missing for its default; the name is never missing.
bool is_readable_record(std::string_view key, const Json& value) {
    if (key.starts_with(keys::nodes)) return is_named(key, node_from_json(value), &NodeRecord::name);
    if (key.starts_with(keys::processes))
        return is_named(key, process_from_json(value), &ProcessRecord::name);
    if (key.starts_with(keys::domains)) return is_named(key, domain_from_json(value), &DomainRecord::domain);
    if (key.starts_with(keys::tombstones)) {
        const auto tombstone = tombstone_from_json(value);
        return tombstone && key == keys::tombstone(tombstone->id);
    }
    return value.is_object();
}

} // namespace

bool is_readable(std::string_view table, std::string_view key, const nlohmann::json& value) {
    if (value.is_discarded()) return false;
    if (table == replicated_table) return is_readable_record(key, value);
    return key.starts_with(keys::counters) ? value.is_number_unsigned() : value.is_object();
}

Result<void> set_aside_rows(store::Store& store, const std::string& file, const std::vector<DamagedRow>& rows,
                            const std::map<std::string, std::string>& copy) {
    std::string noted;
    store::Txn txn;
    for (const auto& row : rows) {
        const auto other = copy.find(row.key);
        const bool kept = row.table == replicated_table && other != copy.end() &&
                          is_readable(row.table, row.key, Json::parse(other->second, nullptr, false));
        const Json line{{"key", row.key}, {"kept", kept}, {"text", row.text}};
        noted += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
        txn.then.push_back(kept ? store::put(row.table, row.key, other->second)
                                : store::erase(row.table, row.key));
    }
    const auto beside = std::filesystem::path(file).replace_extension("rows").string();
    if (const auto written = net::write_file_atomically(store::aside_name(beside), noted); !written)
        return written;
    const auto done = store.txn(txn);
    if (!done) return std::unexpected(done.error());
    return {};
}

std::string describe_damaged_rows(const std::string& noted) {
    std::string names;
    std::size_t count = 0;
    std::istringstream lines(noted);
    for (std::string line; std::getline(lines, line);) {
        const auto row = Json::parse(line, nullptr, false);
        if (++count > most_named) continue;
        names += (names.empty() ? "" : ", ") + text::excerpt(json::member<std::string>(row, "key")) +
                 (json::member<bool>(row, "kept") ? " (taken from this node's copy)" : " (lost)");
    }
    if (count > most_named) names += " and " + std::to_string(count - most_named) + " more";
    return names;
}

} // namespace p2prc::registry
