// The tables inside the database file, and the settings that make a commit durable.
#pragma once

#include "store/sqlite.h"
#include "store/sqlite/connection.h"

#include <string>

namespace p2prc::store {

inline constexpr int schema_version = 1;

// What is known about the store apart from its items.
struct Meta {
    std::string store_id;
    std::uint64_t revision = 0;
    std::uint64_t compacted = 0; // history up to here is gone
    std::uint64_t inode = 0;     // of the file when it was opened last
};

// When a commit returns, from the next transaction on.
Result<void> set_sync(Connection& connection, Sync sync);

// Takes the file for this process, checks that it is whole and of a version that this program knows, and
// makes the tables when it is empty.
Result<void> prepare_database(Connection& connection, Sync sync);

Result<Meta> read_meta(Connection& connection);
Result<void> write_meta(Connection& connection, const char* name, std::string_view value);
Result<void> write_meta(Connection& connection, const char* name, std::uint64_t value);

} // namespace p2prc::store
