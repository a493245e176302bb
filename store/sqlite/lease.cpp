// Leases and the keys that go with them.
#include "store/sqlite/sqlite_store.h"

namespace p2prc::store {

Result<std::uint64_t> SqliteStore::lease_grant(std::chrono::milliseconds time) {
    const std::lock_guard lock(mutex_);
    auto insert = connection_->prepare("INSERT INTO leases (milliseconds) VALUES (?) RETURNING id");
    if (!insert) return std::unexpected(insert.error());
    auto row = (*insert)->bind(static_cast<std::uint64_t>(time.count())).step();
    if (!row) return std::unexpected(row.error());
    const auto lease = (*insert)->number(0);
    if (auto done = (*insert)->run(); !done) return std::unexpected(done.error());
    leases_.start(lease, time);
    return lease;
}

Result<void> SqliteStore::lease_keepalive(std::uint64_t lease) {
    const std::lock_guard lock(mutex_);
    if (leases_.keep_alive(lease)) return {};
    return fail(ErrorCode::NotFound, "no lease " + std::to_string(lease), "it ran out or was revoked");
}

Result<void> SqliteStore::lease_revoke(std::uint64_t lease) {
    const std::lock_guard lock(mutex_);
    if (!leases_.has(lease)) return fail(ErrorCode::NotFound, "no lease " + std::to_string(lease));
    return revoke(lease);
}

Result<std::vector<std::uint64_t>> SqliteStore::lease_expire() {
    const std::lock_guard lock(mutex_);
    auto expired = leases_.expired();
    for (const auto lease : expired)
        if (auto done = revoke(lease); !done) return std::unexpected(done.error());
    return expired;
}

Result<void> SqliteStore::revoke(std::uint64_t lease) {
    std::vector<Operation> operations;
    {
        auto rows = connection_->prepare(
            "SELECT tab, key FROM items WHERE lease = ? AND lease <> 0 ORDER BY tab, key");
        if (!rows) return std::unexpected(rows.error());
        (*rows)->bind(lease);
        for (;;) {
            auto row = (*rows)->step();
            if (!row) return std::unexpected(row.error());
            if (!*row) break;
            operations.push_back(erase((*rows)->bytes(0), (*rows)->bytes(1)));
        }
    }
    Attempt attempt(*this);
    if (auto begun = attempt.begin(); !begun) return begun;
    auto commits = write(operations, revision_ + 1);
    if (!commits) return std::unexpected(commits.error());
    auto forget = connection_->prepare("DELETE FROM leases WHERE id = ?");
    if (!forget) return std::unexpected(forget.error());
    if (auto done = (*forget)->bind(lease).run(); !done) return done;
    if (auto done = attempt.commit(); !done) return done;
    leases_.remove(lease);
    if (!commits->empty()) finish(revision_ + 1, *commits);
    return {};
}

Result<void> SqliteStore::load_leases() {
    auto rows = connection_->prepare("SELECT id, milliseconds FROM leases");
    if (!rows) return std::unexpected(rows.error());
    for (;;) {
        auto row = (*rows)->step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return {};
        leases_.start((*rows)->number(0), std::chrono::milliseconds((*rows)->number(1)));
    }
}

} // namespace p2prc::store
