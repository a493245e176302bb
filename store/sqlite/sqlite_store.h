// The store over one SQLite connection.
#pragma once

#include "store/sqlite.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/leases.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/watchers.h"

#include <atomic>
#include <mutex>

namespace p2prc::store {

// What a row takes up besides its key and its value, about.
inline constexpr std::uint64_t row_overhead = 64;
inline std::uint64_t row_bytes(const std::string& key, const std::string* value) {
    return key.size() + (value ? value->size() : 0) + row_overhead;
}

class SqliteStore : public Store {
  public:
    SqliteStore(SqliteOptions options, std::unique_ptr<Connection> connection, Meta meta, Origin origin);
    ~SqliteStore() override;
    Result<void> load_leases();
    // Counts what is there, and forgets what was kept of the past under another limit.
    Result<void> load_tally();
    // Lets a file that was made by a version which could not shrink it do so from now on.
    Result<void> make_shrinkable();

    std::string store_id() const override { return store_id_; }
    Origin origin() const override { return origin_; }
    std::uint64_t revision() const override { return revision_; }
    Result<TxnResult> txn(const Txn& txn) override;
    Result<std::optional<Item>> get(std::string_view table, std::string_view key) override;
    Result<Range> range(std::string_view table, std::string_view prefix) override;
    Result<WatchStart> watch(std::string_view table, std::string_view prefix, std::uint64_t from,
                             WatchCallback callback) override;
    void unwatch(std::uint64_t id) override;
    Result<bool> shrink() override;
    Result<void> compact(std::uint64_t revision) override;
    Result<std::uint64_t> lease_grant(std::chrono::milliseconds time) override;
    Result<void> lease_keepalive(std::uint64_t lease) override;
    Result<void> lease_revoke(std::uint64_t lease) override;
    Result<std::vector<std::uint64_t>> lease_expire() override;
    Result<void> copy_to(const std::string& file) override;

  private:
    // What a transaction changes, table by table.
    using Commits = std::map<std::string, Commit, std::less<>>;

    struct Tally {
        std::uint64_t compacted = 0; // history up to here is gone
        std::uint64_t items = 0;     // bytes, as row_bytes() counts them
        std::uint64_t history = 0;   // the same
    };

    // A transaction, with the tally as it was before: that is put back unless it is committed.
    class Attempt {
      public:
        explicit Attempt(SqliteStore& store)
            : store_(store)
            , before_(store.tally_)
            , transaction_(*store.connection_) {}
        Attempt(const Attempt&) = delete;
        Attempt& operator=(const Attempt&) = delete;
        ~Attempt() {
            if (!committed_) store_.tally_ = before_;
        }
        Result<void> begin() { return transaction_.begin(); }
        Result<void> commit() {
            auto done = transaction_.commit();
            committed_ = done.has_value();
            return done;
        }

      private:
        SqliteStore& store_;
        Tally before_;
        Transaction transaction_;
        bool committed_ = false;
    };

    // The pages of the file that hold something, and those that do not.
    struct Pages {
        std::uint64_t used = 0;
        std::uint64_t free = 0;
    };

    // Without the lock:
    Result<Pages> pages();
    const TableOptions* table(std::string_view name) const;
    Result<std::optional<Item>> find(std::string_view table, std::string_view key);
    Result<TxnResult> transact(const Txn& txn);
    Result<bool> holds(const Compare& compare);
    Result<void> check(const std::vector<Operation>& operations) const;
    Result<Commits> write(const std::vector<Operation>& operations, std::uint64_t revision);
    Result<void> write_one(const Operation& operation, std::uint64_t revision, std::uint32_t sub,
                           bool& changed);
    Result<void> backlog(std::string_view table, std::string_view prefix, std::uint64_t from,
                         const WatchCallback& callback);
    Result<void> forget_history(std::uint64_t revision);
    Result<void> limit_history(std::uint64_t revision);
    std::uint64_t most_history() const;
    void count_item(const std::string& key, const std::string* before, const std::string* after);
    Result<void> revoke(std::uint64_t lease);
    void finish(std::uint64_t revision, const Commits& commits);

    SqliteOptions options_;
    std::unique_ptr<Connection> connection_;
    const std::string store_id_;
    const Origin origin_;
    std::atomic<std::uint64_t> revision_;
    Tally tally_;
    bool freed_ = true; // something was, since it was last seen that the file has no pages to give back
    bool cut_ = false;  // pages were given back, and the file is as long as before until the log is in it
    Leases leases_;
    Watchers watchers_;
    std::mutex mutex_;
};

} // namespace p2prc::store
