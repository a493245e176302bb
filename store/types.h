// The values that go in and out of a store: items, transactions, commits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::store {

// One key of a table as it stands.
struct Item {
    std::string key;
    std::string value;          // opaque bytes
    std::uint64_t revision = 0; // of the transaction that wrote it last
    std::uint32_t sub = 0;      // place among that transaction's changes, from 0
    std::uint64_t created = 0;  // revision in which it came to be
    std::uint64_t lease = 0;    // 0: none
    friend bool operator==(const Item&, const Item&) = default;
};

// One condition of a transaction.
struct Compare {
    enum class What { Exists, Missing, Revision, Value };
    std::string table;
    std::string key;
    What what = What::Exists;
    std::uint64_t revision = 0; // for What::Revision; 0 means that the key is missing
    std::string value;          // for What::Value
};

Compare exists(std::string table, std::string key);
Compare missing(std::string table, std::string key);
Compare revision_is(std::string table, std::string key, std::uint64_t revision);
Compare value_is(std::string table, std::string key, std::string value);

// One write of a transaction. No value: the key is deleted (deleting a missing key changes nothing).
struct Operation {
    std::string table;
    std::string key;
    std::optional<std::string> value;
    std::uint64_t lease = 0;
};

Operation put(std::string table, std::string key, std::string value, std::uint64_t lease = 0);
Operation erase(std::string table, std::string key);

// `then` is done when every comparison holds, `otherwise` when one does not; either wholly or not at all. A
// key may be written once in a transaction.
struct Txn {
    std::vector<Compare> compare;
    std::vector<Operation> then;
    std::vector<Operation> otherwise;
    bool durable = false; // of a relaxed store: on disk when it returns, and all that came before it
};

struct TxnResult {
    bool succeeded = false;     // `then` was done
    std::uint64_t revision = 0; // of the store afterwards; the transaction's own when it changed something
};

struct Change {
    std::string key;
    std::optional<std::string> value; // nothing: deleted
    std::uint32_t sub = 0;
    friend bool operator==(const Change&, const Change&) = default;
};

// What one transaction changed in one table, in the order in which it was written.
struct Commit {
    std::uint64_t revision = 0;
    std::vector<Change> changes;
    friend bool operator==(const Commit&, const Commit&) = default;
};

struct Range {
    std::vector<Item> items;    // in the order of their keys' bytes
    std::uint64_t revision = 0; // of the store; watch from `revision + 1` to miss nothing
};

} // namespace p2prc::store
