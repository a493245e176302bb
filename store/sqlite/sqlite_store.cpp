#include "store/sqlite/sqlite_store.h"

#include "store/sqlite/file.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace p2prc::store {
namespace {

std::chrono::nanoseconds boottime() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Item item_of(const Statement& row) {
    return {row.bytes(0),  row.bytes(1), row.number(2), static_cast<std::uint32_t>(row.number(3)),
            row.number(4), row.number(5)};
}

} // namespace

SqliteStore::SqliteStore(SqliteOptions options, std::unique_ptr<Connection> connection, Meta meta,
                         Origin origin)
    : options_(std::move(options))
    , connection_(std::move(connection))
    , store_id_(std::move(meta.store_id))
    , origin_(origin)
    , revision_(meta.revision)
    , tally_{.compacted = meta.compacted}
    , leases_(options_.clock ? options_.clock : boottime) {}

SqliteStore::~SqliteStore() {
    connection_.reset(); // moves the log into the database and removes it
    write_seal(options_.file);
}

const TableOptions* SqliteStore::table(std::string_view name) const {
    const auto it = std::ranges::find(options_.tables, name, &TableOptions::name);
    return it == options_.tables.end() ? nullptr : &*it;
}

Result<std::optional<Item>> SqliteStore::find(std::string_view table, std::string_view key) {
    auto rows = connection_->prepare(
        "SELECT key, value, revision, sub, created, lease FROM items WHERE tab = ? AND key = ?");
    if (!rows) return std::unexpected(rows.error());
    auto row = (*rows)->bind(table).bind(key).step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return std::optional<Item>();
    return std::optional(item_of(**rows));
}

Result<bool> SqliteStore::holds(const Compare& compare) {
    auto item = find(compare.table, compare.key);
    if (!item) return std::unexpected(item.error());
    switch (compare.what) {
    case Compare::What::Exists:
        return item->has_value();
    case Compare::What::Missing:
        return !item->has_value();
    case Compare::What::Revision:
        return (*item ? (*item)->revision : 0) == compare.revision;
    case Compare::What::Value:
        return *item && (*item)->value == compare.value;
    }
    return false;
}

Result<void> SqliteStore::check(const std::vector<Operation>& operations) const {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const auto& operation : operations) {
        if (!table(operation.table))
            return fail(ErrorCode::Failed, "the store has no table '" + operation.table + "'");
        if (!seen.emplace(operation.table, operation.key).second)
            return fail(ErrorCode::Failed, "a transaction writes key '" + operation.key + "' twice");
        if (operation.lease && !leases_.has(operation.lease))
            return fail(ErrorCode::NotFound, "no lease " + std::to_string(operation.lease));
    }
    return {};
}

Result<void> SqliteStore::write_one(const Operation& operation, std::uint64_t revision, std::uint32_t sub,
                                    bool& changed) {
    auto before = find(operation.table, operation.key);
    if (!before) return std::unexpected(before.error());
    changed = operation.value || *before;
    if (!changed) return {};
    const auto* after = operation.value ? &*operation.value : nullptr;
    count_item(operation.key, *before ? &(*before)->value : nullptr, after);
    if (operation.value) {
        auto insert = connection_->prepare("INSERT OR REPLACE INTO items (tab, key, value, revision, sub, "
                                           "created, lease) VALUES (?, ?, ?, ?, ?, ?, ?)");
        if (!insert) return std::unexpected(insert.error());
        auto done = (*insert)
                        ->bind(operation.table)
                        .bind(operation.key)
                        .bind(*operation.value)
                        .bind(revision)
                        .bind(std::uint64_t{sub})
                        .bind(*before ? (*before)->created : revision)
                        .bind(operation.lease)
                        .run();
        if (!done) return done;
    } else {
        freed_ = true;
        auto remove = connection_->prepare("DELETE FROM items WHERE tab = ? AND key = ?");
        if (!remove) return std::unexpected(remove.error());
        if (auto done = (*remove)->bind(operation.table).bind(operation.key).run(); !done) return done;
    }
    if (!table(operation.table)->history) return {};
    auto note =
        connection_->prepare("INSERT INTO history (revision, sub, tab, key, value) VALUES (?, ?, ?, ?, ?)");
    if (!note) return std::unexpected(note.error());
    (*note)->bind(revision).bind(std::uint64_t{sub}).bind(operation.table).bind(operation.key);
    if (operation.value) {
        (*note)->bind(*operation.value);
    } else {
        (*note)->bind_null();
    }
    tally_.history += row_bytes(operation.key, after);
    return (*note)->run();
}

Result<SqliteStore::Commits> SqliteStore::write(const std::vector<Operation>& operations,
                                                std::uint64_t revision) {
    Commits commits;
    std::uint32_t sub = 0;
    for (const auto& operation : operations) {
        bool changed = false;
        auto written = write_one(operation, revision, sub, changed);
        if (!written) return std::unexpected(written.error());
        if (!changed) continue;
        auto& commit = commits[operation.table];
        commit.revision = revision;
        commit.changes.push_back({operation.key, operation.value, sub++});
    }
    if (commits.empty()) return commits;
    if (auto done = write_meta(*connection_, "revision", revision); !done)
        return std::unexpected(done.error());
    if (auto done = limit_history(revision); !done) return std::unexpected(done.error());
    return commits;
}

void SqliteStore::finish(std::uint64_t revision, const Commits& commits) {
    revision_ = revision;
    for (const auto& [name, commit] : commits)
        watchers_.tell(name, commit);
}

Result<TxnResult> SqliteStore::txn(const Txn& txn) {
    const std::lock_guard lock(mutex_);
    if (options_.sync == Sync::Full || !txn.durable) return transact(txn);
    // What its commit syncs is the log, and so all that was written to it before.
    if (auto full = set_sync(*connection_, Sync::Full); !full) return std::unexpected(full.error());
    auto done = transact(txn);
    if (auto relaxed = set_sync(*connection_, Sync::Relaxed); !relaxed && done)
        return std::unexpected(relaxed.error());
    return done;
}

Result<TxnResult> SqliteStore::transact(const Txn& txn) {
    Attempt attempt(*this);
    if (auto begun = attempt.begin(); !begun) return std::unexpected(begun.error());
    bool succeeded = true;
    for (const auto& compare : txn.compare) {
        auto held = holds(compare);
        if (!held) return std::unexpected(held.error());
        succeeded = succeeded && *held;
    }
    const auto& operations = succeeded ? txn.then : txn.otherwise;
    if (auto checked = check(operations); !checked) return std::unexpected(checked.error());
    auto commits = write(operations, revision_ + 1);
    if (!commits) return std::unexpected(commits.error());
    if (commits->empty()) return TxnResult{succeeded, revision_};
    if (auto committed = attempt.commit(); !committed) return std::unexpected(committed.error());
    finish(revision_ + 1, *commits);
    return TxnResult{succeeded, revision_};
}

Result<std::optional<Item>> SqliteStore::get(std::string_view table, std::string_view key) {
    const std::lock_guard lock(mutex_);
    return find(table, key);
}

Result<Range> SqliteStore::range(std::string_view table, std::string_view prefix) {
    const std::lock_guard lock(mutex_);
    Range range{{}, revision_};
    // The keys below a prefix lie together, so the first that does not match ends them.
    auto rows = connection_->prepare("SELECT key, value, revision, sub, created, lease FROM items "
                                     "WHERE tab = ? AND key >= ? ORDER BY key");
    if (!rows) return std::unexpected(rows.error());
    (*rows)->bind(table).bind(prefix);
    for (;;) {
        auto row = (*rows)->step();
        if (!row) return std::unexpected(row.error());
        if (!*row) break;
        auto item = item_of(**rows);
        if (!item.key.starts_with(prefix)) break;
        range.items.push_back(std::move(item));
    }
    return range;
}

Result<void> SqliteStore::copy_to(const std::string& file) {
    const std::lock_guard lock(mutex_);
    auto made = make_file(file);
    if (!made) return std::unexpected(made.error());
    if (!*made) return fail(ErrorCode::Conflict, file + " exists already", "name a new file");
    // VACUUM INTO takes an empty file as if it were missing (sqlite.org/lang_vacuum.html).
    {
        auto vacuum = connection_->prepare("VACUUM INTO CAST(? AS TEXT)");
        if (!vacuum) return std::unexpected(vacuum.error());
        if (auto done = (*vacuum)->bind(file).run(); !done) return done;
    }
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return std::unexpected(system_error("cannot open " + file, errno));
    const int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (failed) return std::unexpected(system_error("cannot sync " + file, failed));
    return {};
}

} // namespace p2prc::store
