// How much of the past is kept.
#include "store/sqlite/sqlite_store.h"

#include <algorithm>

namespace p2prc::store {

Result<void> SqliteStore::compact(std::uint64_t revision) {
    const std::lock_guard lock(mutex_);
    if (revision > revision_)
        return fail(ErrorCode::Failed, "cannot compact up to revision " + std::to_string(revision) +
                                           ": the store is at " + std::to_string(revision_));
    if (revision <= tally_.compacted) return {};
    Attempt attempt(*this);
    if (auto begun = attempt.begin(); !begun) return begun;
    if (auto done = forget_history(revision); !done) return done;
    return attempt.commit();
}

Result<void> SqliteStore::load_tally() {
    const std::lock_guard lock(mutex_);
    const auto sum = [this](const char* sql) -> Result<std::uint64_t> {
        auto rows = connection_->prepare(sql);
        if (!rows) return std::unexpected(rows.error());
        auto row = (*rows)->bind(row_overhead).step();
        if (!row) return std::unexpected(row.error());
        return (*rows)->number(0);
    };
    const auto items = sum("SELECT coalesce(sum(length(key) + length(value) + ?), 0) FROM items");
    if (!items) return std::unexpected(items.error());
    const auto history =
        sum("SELECT coalesce(sum(length(key) + coalesce(length(value), 0) + ?), 0) FROM history");
    if (!history) return std::unexpected(history.error());
    tally_.items = *items;
    tally_.history = *history;
    if (tally_.history <= most_history()) return {};
    Attempt attempt(*this);
    if (auto begun = attempt.begin(); !begun) return begun;
    if (auto done = limit_history(revision_); !done) return done;
    return attempt.commit();
}

void SqliteStore::count_item(const std::string& key, const std::string* before, const std::string* after) {
    if (before) tally_.items -= std::min(tally_.items, row_bytes(key, before));
    if (after) tally_.items += row_bytes(key, after);
}

std::uint64_t SqliteStore::most_history() const {
    return std::clamp(tally_.items, options_.keep_bytes / 8, options_.keep_bytes);
}

// Each time an eighth of what is kept, rather than a little at each commit: forgetting costs more the more
// often it is done.
Result<void> SqliteStore::limit_history(std::uint64_t revision) {
    const auto keep = std::max<std::uint64_t>(options_.keep_revisions, 1);
    const auto step = std::max<std::uint64_t>(keep / 8, 1);
    if (revision > keep && revision % step == 0)
        if (auto done = forget_history(revision - keep); !done) return done;
    const auto most = most_history();
    if (tally_.history <= most) return {};
    auto until = tally_.compacted;
    {
        auto rows = connection_->prepare("SELECT revision, sum(length(key) + coalesce(length(value), 0) + ?) "
                                         "FROM history GROUP BY revision ORDER BY revision");
        if (!rows) return std::unexpected(rows.error());
        (*rows)->bind(row_overhead);
        for (auto left = tally_.history; left > most - most / 8;) {
            auto row = (*rows)->step();
            if (!row) return std::unexpected(row.error());
            if (!*row) break;
            until = (*rows)->number(0);
            left -= std::min(left, (*rows)->number(1));
        }
    }
    return forget_history(until);
}

Result<void> SqliteStore::forget_history(std::uint64_t revision) {
    if (revision <= tally_.compacted) return {};
    auto sum = connection_->prepare("SELECT coalesce(sum(length(key) + coalesce(length(value), 0) + ?), 0) "
                                    "FROM history WHERE revision <= ?");
    if (!sum) return std::unexpected(sum.error());
    auto row = (*sum)->bind(row_overhead).bind(revision).step();
    if (!row) return std::unexpected(row.error());
    const auto bytes = (*sum)->number(0);
    sum->reset();
    auto remove = connection_->prepare("DELETE FROM history WHERE revision <= ?");
    if (!remove) return std::unexpected(remove.error());
    if (auto done = (*remove)->bind(revision).run(); !done) return done;
    tally_.history -= std::min(tally_.history, bytes);
    tally_.compacted = revision;
    freed_ = true;
    return write_meta(*connection_, "compacted", revision);
}

} // namespace p2prc::store
