// Watches and the history that they begin in.
#include "store/sqlite/sqlite_store.h"

namespace p2prc::store {

Result<WatchStart> SqliteStore::watch(std::string_view table_name, std::string_view prefix,
                                      std::uint64_t from, WatchCallback callback) {
    const std::lock_guard lock(mutex_);
    const auto* options = table(table_name);
    if (!options) return fail(ErrorCode::Failed, "the store has no table '" + std::string(table_name) + "'");
    if (from > revision_ + 1) return WatchStart{WatchOutcome::Ahead, 0};
    if (from <= revision_) {
        if (!options->history || from <= compacted_) return WatchStart{WatchOutcome::Compacted, 0};
        if (auto done = backlog(table_name, prefix, from, callback); !done)
            return std::unexpected(done.error());
    }
    return WatchStart{WatchOutcome::Watching,
                      watchers_.add(std::string(table_name), std::string(prefix), std::move(callback))};
}

Result<void> SqliteStore::backlog(std::string_view table_name, std::string_view prefix, std::uint64_t from,
                                  const WatchCallback& callback) {
    auto rows = connection_->prepare("SELECT revision, sub, key, value FROM history "
                                     "WHERE revision >= ? AND tab = ? ORDER BY revision, sub");
    if (!rows) return std::unexpected(rows.error());
    (*rows)->bind(from).bind(table_name);
    Commit commit;
    for (;;) {
        auto row = (*rows)->step();
        if (!row) return std::unexpected(row.error());
        const bool ends = !*row || (*rows)->number(0) != commit.revision;
        if (ends && !commit.changes.empty()) {
            callback(commit);
            commit.changes.clear();
        }
        if (!*row) return {};
        commit.revision = (*rows)->number(0);
        auto key = (*rows)->bytes(2);
        if (!key.starts_with(prefix)) continue;
        auto value = (*rows)->is_null(3) ? std::nullopt : std::optional((*rows)->bytes(3));
        commit.changes.push_back(
            {std::move(key), std::move(value), static_cast<std::uint32_t>((*rows)->number(1))});
    }
}

void SqliteStore::unwatch(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    watchers_.remove(id);
}

Result<void> SqliteStore::compact(std::uint64_t revision) {
    const std::lock_guard lock(mutex_);
    if (revision > revision_)
        return fail(ErrorCode::Failed, "cannot compact up to revision " + std::to_string(revision) +
                                           ": the store is at " + std::to_string(revision_));
    if (revision <= compacted_) return {};
    const auto before = compacted_;
    Transaction transaction(*connection_);
    if (auto begun = transaction.begin(); !begun) return begun;
    auto done = forget_history(revision);
    if (done) done = transaction.commit();
    if (!done) compacted_ = before;
    return done;
}

Result<void> SqliteStore::forget_history(std::uint64_t revision) {
    auto remove = connection_->prepare("DELETE FROM history WHERE revision <= ?");
    if (!remove) return std::unexpected(remove.error());
    if (auto done = (*remove)->bind(revision).run(); !done) return done;
    compacted_ = revision;
    return write_meta(*connection_, "compacted", revision);
}

} // namespace p2prc::store
