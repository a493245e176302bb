// One SQLite connection and its statements, with errors that say what to do.
#pragma once

#include "core/error.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace p2prc::store {

class Connection;

// A prepared statement in use. Bound from 1 on, read from column 0 on; reset when it goes out of scope.
class Statement {
  public:
    Statement(Connection& connection, sqlite3_stmt* statement)
        : connection_(connection)
        , statement_(statement) {}
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement();

    // The bytes must live until the statement is done.
    Statement& bind(std::string_view bytes);
    Statement& bind(std::uint64_t number);
    Statement& bind_null();

    Result<bool> step(); // true: there is a row
    Result<void> run();  // to the end

    std::string bytes(int column) const;
    std::uint64_t number(int column) const;
    bool is_null(int column) const;

  private:
    Connection& connection_;
    sqlite3_stmt* statement_;
    int next_ = 1;
};

class Connection {
  public:
    // The file must exist (it may be empty).
    static Result<std::unique_ptr<Connection>> open(const std::string& file);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<void> run(const char* sql);
    // First column of the first row; empty when there is none.
    Result<std::string> ask(const char* sql);
    // Statements are compiled once; `sql` must be a literal, and the same one is not used twice at a time.
    Result<std::unique_ptr<Statement>> prepare(const char* sql);

    Error error(int code) const;
    const std::string& file() const { return file_; }

  private:
    explicit Connection(std::string file) : file_(std::move(file)) {}

    std::string file_;
    sqlite3* handle_ = nullptr;
    std::map<const char*, sqlite3_stmt*> statements_;
};

// Undone unless committed.
class Transaction {
  public:
    explicit Transaction(Connection& connection) : connection_(connection) {}
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();
    Result<void> begin();
    Result<void> commit();

  private:
    Connection& connection_;
    bool open_ = false;
};

} // namespace p2prc::store
