// Opens a store in an SQLite database: write-ahead log, synchronous=FULL, one process at a time.
#pragma once

#include "store/store.h"

#include <chrono>

namespace p2prc::store {

struct TableOptions {
    std::string name;
    bool history = true; // false: no past is kept, a watch begins at the present
};

// When a commit returns.
enum class Sync {
    Full,   // on disk
    Relaxed // written; a power cut may take the last commits, a whole transaction at a time, but none that
            // came before one that asked to be durable
};

struct SqliteOptions {
    std::string file; // made with mode 0600 where it is missing
    std::vector<TableOptions> tables;
    Sync sync = Sync::Full;
    std::uint64_t keep_revisions = 4096; // history older than that is compacted now and then
    // Neither is more of it kept than this, nor than all items, where they are more than an eighth of this:
    // to read them all is less then.
    std::uint64_t keep_bytes = 8 << 20;
    // Time since some moment, going on during suspend; CLOCK_BOOTTIME when empty.
    std::function<std::chrono::nanoseconds()> clock = {};
};

// Errors name the file and what to do: Conflict when another process has it open, Failed when it is damaged
// or was written by a newer version.
Result<std::unique_ptr<Store>> open_sqlite(SqliteOptions options);

// Whether the content of a file that could not be opened is at fault: it is no database, or its pages do not
// fit together. Reads all of it. False for one of a newer version, and for a disk that cannot be read.
bool is_damaged(const std::string& file);

// Of the name of a file that was set aside: FILE.damaged-2026-01-02T030405Z.
inline constexpr std::string_view damaged_mark = ".damaged-";
// That name, at this moment.
std::string aside_name(const std::string& file);
// Renames the file, and what belongs to it; says the name that it has now.
Result<std::string> set_aside(const std::string& file);

} // namespace p2prc::store
