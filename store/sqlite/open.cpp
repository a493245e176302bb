// Opening a database, and deciding whether its past can be vouched for.
#include "store/sqlite/file.h"
#include "store/sqlite/sqlite_store.h"

#include <sys/random.h>

#include <array>
#include <cerrno>

namespace p2prc::store {
namespace {

Result<std::string> random_id() {
    std::array<unsigned char, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return std::unexpected(system_error("cannot get random bytes", errno));
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

Origin origin_of(const Meta& meta, Seal seal, std::uint64_t inode) {
    if (meta.store_id.empty()) return Origin::Created;
    if (seal == Seal::Fits) return Origin::Reopened;
    if (seal == Seal::Broken || meta.inode != inode) return Origin::Restored;
    return Origin::Recovered;
}

Result<void> take_identity(Connection& connection, Meta& meta, std::uint64_t inode) {
    auto id = random_id();
    if (!id) return std::unexpected(id.error());
    meta.store_id = *id;
    Transaction transaction(connection);
    if (auto done = transaction.begin(); !done) return done;
    if (auto done = write_meta(connection, "store_id", meta.store_id); !done) return done;
    if (auto done = write_meta(connection, "inode", inode); !done) return done;
    if (auto done = write_meta(connection, "revision", meta.revision); !done) return done;
    return transaction.commit();
}

} // namespace

Result<std::unique_ptr<Store>> open_sqlite(SqliteOptions options) {
    if (auto made = make_file(options.file); !made) return std::unexpected(made.error());
    auto connection = Connection::open(options.file);
    if (!connection) return std::unexpected(connection.error());
    // Before anything is written: that would break the seal.
    const auto seal = check_seal(options.file);
    if (auto ready = prepare_database(**connection, options.sync); !ready)
        return std::unexpected(ready.error());
    auto meta = read_meta(**connection);
    if (!meta) return std::unexpected(meta.error());
    const auto inode = inode_of(options.file);
    const auto origin = origin_of(*meta, seal, inode);
    if (auto removed = remove_seal(options.file); !removed) return std::unexpected(removed.error());
    if (origin != Origin::Reopened)
        if (auto taken = take_identity(**connection, *meta, inode); !taken)
            return std::unexpected(taken.error());
    auto store = std::make_unique<SqliteStore>(std::move(options), std::move(*connection), *meta, origin);
    if (auto loaded = store->load_leases(); !loaded) return std::unexpected(loaded.error());
    if (auto counted = store->load_tally(); !counted) return std::unexpected(counted.error());
    if (auto made = store->make_shrinkable(); !made) return std::unexpected(made.error());
    return store;
}

} // namespace p2prc::store
