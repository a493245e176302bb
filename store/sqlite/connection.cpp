#include "store/sqlite/connection.h"

#include <sqlite3.h>

namespace p2prc::store {

Statement::~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(std::string_view bytes) {
    // A null pointer would bind NULL instead of empty bytes.
    sqlite3_bind_blob64(statement_, next_++, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind(std::uint64_t number) {
    sqlite3_bind_int64(statement_, next_++, static_cast<sqlite3_int64>(number));
    return *this;
}

Statement& Statement::bind_null() {
    sqlite3_bind_null(statement_, next_++);
    return *this;
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return std::unexpected(connection_.error(code));
}

Result<void> Statement::run() {
    for (;;) {
        auto row = step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return {};
    }
}

std::string Statement::bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = sqlite3_column_bytes(statement_, column);
    return data ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::uint64_t Statement::number(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& file) {
    std::unique_ptr<Connection> connection(new Connection(file));
    // No SQLite mutexes: the store has its own lock around the connection.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(file.c_str(), &connection->handle_, flags, nullptr);
    if (code != SQLITE_OK) return std::unexpected(connection->error(code));
    return connection;
}

Connection::~Connection() {
    for (auto& [sql, statement] : statements_)
        sqlite3_finalize(statement);
    sqlite3_close(handle_);
}

Result<void> Connection::run(const char* sql) {
    const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return std::unexpected(error(code));
    return {};
}

Result<std::string> Connection::ask(const char* sql) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v2(handle_, sql, -1, &raw, nullptr);
    if (code != SQLITE_OK) return std::unexpected(error(code));
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(raw, sqlite3_finalize);
    Statement statement(*this, raw);
    auto row = statement.step();
    if (!row) return std::unexpected(row.error());
    return *row ? statement.bytes(0) : std::string();
}

Result<std::unique_ptr<Statement>> Connection::prepare(const char* sql) {
    auto& statement = statements_[sql];
    if (!statement) {
        const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        if (code != SQLITE_OK) return std::unexpected(error(code));
    }
    return std::make_unique<Statement>(*this, statement);
}

Error Connection::error(int code) const {
    const std::string detail = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return {ErrorCode::Conflict, file_ + " is in use by another process",
                "only one daemon may have it open: see systemctl status p2prcd"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return {ErrorCode::Failed, file_ + " is damaged: " + detail,
                "stop p2prcd, keep a copy of the file, and put a backup in its place or move it away"};
    case SQLITE_FULL:
        return {ErrorCode::Failed, "no space left to write " + file_, "free some space on that file system"};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return {ErrorCode::Failed, "cannot open " + file_ + " for writing: " + detail,
                "check the owner and the mode of the file and of its directory"};
    default:
        return {ErrorCode::Failed, file_ + ": " + detail, "see the kernel's log for errors of the disk"};
    }
}

Transaction::~Transaction() {
    // A failed COMMIT or a full disk may have ended it already; then this does nothing.
    if (open_) static_cast<void>(connection_.run("ROLLBACK"));
}

Result<void> Transaction::begin() {
    auto begun = connection_.run("BEGIN IMMEDIATE");
    open_ = begun.has_value();
    return begun;
}

Result<void> Transaction::commit() {
    auto committed = connection_.run("COMMIT");
    if (committed) open_ = false;
    return committed;
}

} // namespace p2prc::store
