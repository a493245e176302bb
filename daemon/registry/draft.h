// A transaction in the making: reads what is committed and what it has written itself, and keeps its writes.
//
// The registry is the only writer of its database, so what is committed is also kept in memory (Mirror):
// rules read without errors, and only the commit can fail.
#pragma once

#include "core/records.h"
#include "store/types.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::daemon {

using Json = nlohmann::json;

// Invitations and counters; never replicated.
inline constexpr std::string_view private_table = "private";

struct Document {
    Json value;
    std::uint64_t revision = 0; // in which it was written last
    std::size_t size = 0;       // in bytes, as text
};

// As it is stored and sent.
std::size_t document_size(const Json& value);

// Every document of a table.
using Table = std::map<std::string, Document, std::less<>>;

struct Mirror {
    Table agreed;  // the replicated table
    Table secrets; // the private table
};

class Draft {
  public:
    explicit Draft(const Mirror& mirror) : mirror_(mirror) {}

    // Agreed state. Pointers are valid until the next write.
    const Json* get(std::string_view key) const { return look(mirror_.agreed, agreed_, key); }
    std::vector<std::pair<std::string, const Json*>> range(std::string_view prefix) const {
        return list(mirror_.agreed, agreed_, prefix);
    }
    // Bytes of the committed document and its key; 0 when there is none.
    std::size_t committed_size(std::string_view key) const;
    void put(const std::string& key, Json value) { agreed_[key] = std::move(value); }
    void erase(const std::string& key) { agreed_[key] = std::nullopt; }

    const Json* get_secret(std::string_view key) const { return look(mirror_.secrets, secrets_, key); }
    std::vector<std::pair<std::string, const Json*>> range_secret(std::string_view prefix) const {
        return list(mirror_.secrets, secrets_, prefix);
    }
    void put_secret(const std::string& key, Json value) { secrets_[key] = std::move(value); }
    void erase_secret(const std::string& key) { secrets_[key] = std::nullopt; }

    // Records. A document that cannot be read is left out; its key stays taken.
    std::optional<FleetRecord> fleet() const;
    std::optional<NodeRecord> node(std::string_view name) const;
    std::vector<NodeRecord> nodes() const;
    std::optional<ProcessRecord> process(std::string_view name) const;
    std::optional<ProcessRecord> process(std::uint32_t id) const;
    std::vector<ProcessRecord> processes() const;
    std::optional<DomainRecord> domain(std::string_view fqdn) const;
    std::vector<DomainRecord> domains() const;
    std::vector<DomainRecord> domains_of(std::string_view process) const;
    std::vector<Tombstone> tombstones() const;
    void put(const FleetRecord& fleet) { put(std::string(keys::fleet), to_json(fleet)); }
    void put(const NodeRecord& node) { put(keys::node(node.name), to_json(node)); }
    void put(const ProcessRecord& process) { put(keys::process(process.name), to_json(process)); }
    void put(const DomainRecord& domain) { put(keys::domain(domain.domain), to_json(domain)); }

    // Numbers that are never given out twice.
    std::uint32_t next_process_id() { return next("counters/process"); }
    std::uint32_t next_mapping_id() { return next("counters/mapping"); }
    // Ids up to this one are known to be in use somewhere.
    void seen_process_id(std::uint32_t id) { seen("counters/process", id); }
    void seen_mapping_id(std::uint32_t id) { seen("counters/mapping", id); }
    // Leaves a gap, for ids that were given out after the copy was made that the store was restored from.
    void skip_ids(std::uint32_t count);

    // What differs from the committed state.
    store::Txn transaction() const;
    // Puts the writes into `mirror` after the transaction was committed as `revision`.
    void apply_to(Mirror& mirror, std::uint64_t revision) const;

  private:
    using Writes = std::map<std::string, std::optional<Json>, std::less<>>;
    static const Json* look(const Table& table, const Writes& writes, std::string_view key);
    static std::vector<std::pair<std::string, const Json*>> list(const Table& table, const Writes& writes,
                                                                 std::string_view prefix);
    std::uint32_t counter(std::string_view key) const;
    std::uint32_t next(const std::string& key);
    void seen(const std::string& key, std::uint32_t id);

    const Mirror& mirror_;
    Writes agreed_;
    Writes secrets_;
};

} // namespace p2prc::daemon
