#include "store/sqlite/watchers.h"

#include <utility>

namespace p2prc::store {

std::uint64_t Watchers::add(std::string table, std::string prefix, WatchCallback callback) {
    watchers_.emplace(++last_, Watcher{std::move(table), std::move(prefix), std::move(callback)});
    return last_;
}

void Watchers::tell(const std::string& table, const Commit& commit) const {
    for (const auto& [id, watcher] : watchers_) {
        if (watcher.table != table) continue;
        Commit share{commit.revision, {}};
        for (const auto& change : commit.changes)
            if (change.key.starts_with(watcher.prefix)) share.changes.push_back(change);
        if (!share.changes.empty()) watcher.callback(share);
    }
}

} // namespace p2prc::store
