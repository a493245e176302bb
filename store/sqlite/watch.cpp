// Watches, and what they are told of the past.
#include "store/sqlite/sqlite_store.h"

namespace p2prc::store {

Result<WatchStart> SqliteStore::watch(std::string_view table_name, std::string_view prefix,
                                      std::uint64_t from, WatchCallback callback) {
    const std::lock_guard lock(mutex_);
    const auto* options = table(table_name);
    if (!options) return fail(ErrorCode::Failed, "the store has no table '" + std::string(table_name) + "'");
    if (from > revision_ + 1) return WatchStart{WatchOutcome::Ahead, 0};
    if (from <= revision_) {
        if (!options->history || from <= tally_.compacted) return WatchStart{WatchOutcome::Compacted, 0};
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

} // namespace p2prc::store
