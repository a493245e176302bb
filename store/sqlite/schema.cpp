#include "store/sqlite/schema.h"

namespace p2prc::store {
namespace {

// "p2pr": tells the file from any other SQLite database (sqlite.org/pragma.html#pragma_application_id).
constexpr const char* application_id = "1882353778";

constexpr const char* make_tables = R"(
BEGIN IMMEDIATE;
PRAGMA application_id = 1882353778;
PRAGMA user_version = 1;
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE items (
  tab BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
  revision INTEGER NOT NULL, sub INTEGER NOT NULL, created INTEGER NOT NULL, lease INTEGER NOT NULL,
  UNIQUE (tab, key));
CREATE INDEX items_by_lease ON items (lease) WHERE lease <> 0;
CREATE TABLE history (
  revision INTEGER NOT NULL, sub INTEGER NOT NULL, tab BLOB NOT NULL, key BLOB NOT NULL, value BLOB,
  UNIQUE (revision, sub));
CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, milliseconds INTEGER NOT NULL);
COMMIT;
)";

// An exclusive lock keeps a second daemon out and needs no shared-memory file; secure_delete overwrites spent
// invitations; a damaged page is noticed when it is read (cell_size_check) and not followed. All that is read
// more than once is kept in memory by the store's users, and p2prcd has three files open: of 512 KiB for each
// a commit into 10,000 records saves 5 % of its processor time.
constexpr const char* settings = R"(
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cache_size = -128;
PRAGMA cell_size_check = ON;
)";

// After a large transaction the log is cut to this again (auto-checkpoints keep it at 4 MiB).
constexpr const char* log_settings = R"(
PRAGMA journal_mode = WAL;
PRAGMA journal_size_limit = 8388608;
)";

// Has to be said before the first page is written; of a file that has pages, VACUUM takes it
// (sqlite.org/pragma.html#pragma_auto_vacuum).
Result<void> ask_for_auto_vacuum(Connection& connection) {
    auto mode = connection.ask("PRAGMA auto_vacuum");
    if (!mode) return std::unexpected(mode.error());
    return *mode == "2" ? Result<void>() : connection.run("PRAGMA auto_vacuum = INCREMENTAL");
}

Result<void> check_version(Connection& connection) {
    auto id = connection.ask("PRAGMA application_id");
    if (!id) return std::unexpected(id.error());
    auto tables = connection.ask("SELECT count(*) FROM sqlite_schema");
    if (!tables) return std::unexpected(tables.error());
    if (*id == "0" && *tables == "0") return connection.run(make_tables);
    if (*id != application_id)
        return fail(ErrorCode::Failed, connection.file() + " is a database of another program",
                    "move it away; p2prc makes its own");
    auto version = connection.ask("PRAGMA user_version");
    if (!version) return std::unexpected(version.error());
    if (*version != std::to_string(schema_version))
        return fail(ErrorCode::Failed,
                    connection.file() + " was written by a newer p2prc (schema " + *version +
                        "; this one knows " + std::to_string(schema_version) + ")",
                    "install that version again, or restore a backup made before the upgrade");
    return {};
}

} // namespace

// In a write-ahead log FULL syncs at each commit; NORMAL only at checkpoints.
Result<void> set_sync(Connection& connection, Sync sync) {
    return connection.run(sync == Sync::Full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

Result<void> prepare_database(Connection& connection, Sync sync) {
    if (auto done = connection.run(settings); !done) return done;
    if (auto done = ask_for_auto_vacuum(connection); !done) return done;
    if (auto done = connection.run(log_settings); !done) return done;
    if (auto done = set_sync(connection, sync); !done) return done;
    if (auto done = check_version(connection); !done) return done;
    auto check = connection.ask("PRAGMA quick_check(1)");
    if (!check) return std::unexpected(check.error());
    if (*check != "ok") {
        auto damaged = connection.error(11 /* SQLITE_CORRUPT */);
        damaged.message = connection.file() + " is damaged: " + *check;
        return std::unexpected(damaged);
    }
    // What a crash left in the log goes into the database now, so that the log begins with this run.
    return connection.run("PRAGMA wal_checkpoint(TRUNCATE)");
}

Result<Meta> read_meta(Connection& connection) {
    Meta meta;
    auto rows = connection.prepare("SELECT name, value FROM meta");
    if (!rows) return std::unexpected(rows.error());
    for (;;) {
        auto row = (*rows)->step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return meta;
        const auto name = (*rows)->bytes(0);
        if (name == "store_id") meta.store_id = (*rows)->bytes(1);
        if (name == "revision") meta.revision = (*rows)->number(1);
        if (name == "compacted") meta.compacted = (*rows)->number(1);
        if (name == "inode") meta.inode = (*rows)->number(1);
    }
}

Result<void> write_meta(Connection& connection, const char* name, std::string_view value) {
    auto statement = connection.prepare("INSERT OR REPLACE INTO meta VALUES (CAST(? AS TEXT), ?)");
    if (!statement) return std::unexpected(statement.error());
    return (*statement)->bind(std::string_view(name)).bind(value).run();
}

Result<void> write_meta(Connection& connection, const char* name, std::uint64_t value) {
    auto statement = connection.prepare("INSERT OR REPLACE INTO meta VALUES (CAST(? AS TEXT), ?)");
    if (!statement) return std::unexpected(statement.error());
    return (*statement)->bind(std::string_view(name)).bind(value).run();
}

} // namespace p2prc::store
