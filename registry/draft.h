// A transaction being built: reads committed state and its own writes, and collects the writes.
//
// The registry is the only writer of its database, so what is committed is also kept in memory (Mirror):
// rules read without errors, and only the commit can fail.
#pragma once

#include "core/block_set.h"
#include "core/json.h"
#include "core/records.h"
#include "registry/shares.h"
#include "state/fleet_state.h"
#include "store/types.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::registry {

// Invitations and counters; never replicated.
inline constexpr std::string_view private_table = "private";

// Every document of a table by its key, as it is stored and sent.
using Table = BlockMap<state::SharedDocument::Pointer>;

struct Mirror {
    Table agreed;              // the replicated table
    Table secrets;             // the private table
    state::FleetState records; // of `agreed`, but for reports of processes, of which rules read one at a time
    Shares shares;             // of all that is agreed

    // A document came or changed.
    void put_record(const std::string& key, const Json& value, const state::SharedDocument::Pointer& shared);
};

// More process ids were not given out between a copy of the store and its loss.
inline constexpr std::uint32_t most_claimed_ids = 1u << 16;

// In bytes, as it is stored and sent.
std::size_t document_size(const Json& value);

class Draft {
  public:
    explicit Draft(const Mirror& mirror) : mirror_(mirror) {}

    // Agreed state. Pointers are valid until the next write.
    const Json* get(std::string_view key) const { return look(mirror_.agreed, agreed_, key); }
    std::vector<std::pair<std::string, const Json*>> range(std::string_view prefix) const;
    // Without reading what they stand for.
    std::vector<std::string> keys_below(std::string_view prefix) const {
        return list(mirror_.agreed, agreed_, prefix);
    }
    void put(const std::string& key, Json value) {
        auto text = state::document_text(value);
        put(key, std::move(value), std::move(text));
    }
    // `text` is that of `value` (state::document_text).
    void put(const std::string& key, Json value, std::string text);
    void erase(const std::string& key);
    // How much of the registry what was made by the node, or is its own, takes up.
    Share share_of(std::string_view node) const;

    const Json* get_secret(std::string_view key) const { return look(mirror_.secrets, secrets_, key); }
    std::vector<std::pair<std::string, const Json*>> range_secret(std::string_view prefix) const;
    void put_secret(const std::string& key, const Json& value);
    void erase_secret(const std::string& key) { secrets_[key] = std::nullopt; }
    // Whether one of them is written.
    bool writes_secret(std::string_view prefix) const;

    // Records. A document that cannot be read is left out; its key stays taken.
    std::optional<FleetRecord> fleet() const;
    std::optional<NodeRecord> node(std::string_view name) const;
    std::vector<NodeRecord> nodes() const;
    std::optional<ProcessRecord> process(std::string_view name) const;
    std::optional<ProcessRecord> process(std::uint32_t id) const;
    std::vector<std::string> process_names() const;
    std::vector<ProcessRecord> processes() const;
    std::vector<ProcessRecord> processes_on(std::string_view node) const;
    // Ports of the processes there, those included that an update may go back to.
    std::map<std::uint16_t, std::string> ports_on(std::string_view node) const;
    std::optional<DomainRecord> domain(std::string_view fqdn) const;
    std::vector<DomainRecord> domains() const;
    std::vector<DomainRecord> domains_of(std::string_view process) const;
    std::optional<Tombstone> tombstone(std::uint32_t id) const;
    std::vector<Tombstone> tombstones_on(std::string_view node) const;
    void put(const FleetRecord& fleet) { put(std::string(keys::fleet), to_json(fleet)); }
    void put(const NodeRecord& node) { put(keys::node(node.name), to_json(node)); }
    void put(const ProcessRecord& process) { put(keys::process(process.name), to_json(process)); }
    void put(const DomainRecord& domain) { put(keys::domain(domain.domain), to_json(domain)); }

    // Numbers that are never given out twice. Conflict when there are no more: they do not begin again.
    Result<std::uint32_t> next_process_id();
    Result<std::uint32_t> next_mapping_id() { return next(mapping_counter); }
    // A node says that it knows a process by this id, so that it is not given out any more. False: it is not
    // believed. What nodes say moves the numbers on by `most_claimed_ids` in all, however often they say it:
    // otherwise the numbers would run out at a node's word.
    bool claim_process_id(std::uint32_t id);
    // next_process_id() leaves it out in this transaction.
    void avoid_process_id(std::uint32_t id) { avoided_ids_.insert(id); }
    // Whether a record or a tombstone has it, also one that cannot be read.
    bool has_process_id(std::uint32_t id) const;
    // Records have ids up to this one.
    void seen_process_id(std::uint32_t id) { seen(process_counter, id); }
    void seen_mapping_id(std::uint32_t id) { seen(mapping_counter, id); }
    // Leaves a gap, for ids that were given out after the copy was made that the store was restored from.
    // Nodes may claim ids anew.
    void skip_ids(std::uint32_t count);
    // Of mappings, the next so many ids: other mappings had them, of which this store knows nothing since it
    // was restored. It never gives them out itself.
    void note_lost_mappings(std::uint32_t count);
    bool is_lost_mapping(std::uint32_t id) const;

    // What differs from the committed state.
    store::Txn transaction() const;
    // Puts the writes into `mirror`, the one that it was made of, after the transaction was committed.
    void apply_to(Mirror& mirror) const;

  private:
    struct Write {
        Json value;
        state::SharedDocument::Pointer shared;
    };
    using Writes = std::map<std::string, std::optional<Write>, std::less<>>; // nothing: erased
    const Json* look(const Table& table, const Writes& writes, std::string_view key) const;
    static std::vector<std::string> list(const Table& table, const Writes& writes, std::string_view prefix);
    // The entry as it is in this draft; `key` is that of the name.
    template <class Entry, class Name>
    const Entry* current(const std::string& key, const Entry* (state::FleetState::*find)(Name) const,
                         Name name) const;
    // Names as they are in this draft: of what is committed those that it has not written, and its own.
    template <class Names, class KeyOf>
    std::set<typename Names::value_type> present(const Names& committed, const Names& written,
                                                 KeyOf key_of) const;
    void account(const std::string& key, const Json* now, std::size_t size);

    // The last number of each, and how far claims have moved that of processes on.
    static constexpr std::string_view process_counter = "process", mapping_counter = "mapping",
                                      claimed_counter = "claimed";
    std::uint32_t counter(std::string_view name) const;
    Result<std::uint32_t> next(std::string_view name);
    void seen(std::string_view name, std::uint32_t id);

    const Mirror& mirror_;
    Writes agreed_;
    Writes secrets_;
    state::FleetState written_; // of agreed_
    Shares change_;             // of what nodes fill, by agreed_
    std::set<std::uint32_t> avoided_ids_;
    mutable std::map<std::string, Json, std::less<>> read_; // committed documents that were asked for
};

} // namespace p2prc::registry
