// A file that is damaged: telling so, and setting it aside.
#include "store/sqlite.h"
#include "store/sqlite/connection.h"

#include <sqlite3.h>

#include <cerrno>
#include <ctime>
#include <filesystem>

namespace p2prc::store {

// For people, with the time in UTC.
std::string aside_name(const std::string& file) {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char date[32] = {};
    std::strftime(date, sizeof date, "%Y-%m-%dT%H%M%SZ", &utc);
    return file + std::string(damaged_mark) + date;
}

bool is_damaged(const std::string& file) {
    sqlite3* handle = nullptr;
    int code = sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    bool sound = true;
    if (code == SQLITE_OK) {
        const auto first = [](void* sound_so_far, int columns, char** values, char**) {
            if (columns > 0 && values[0] && std::string_view(values[0]) != "ok")
                *static_cast<bool*>(sound_so_far) = false;
            return 0;
        };
        code = sqlite3_exec(handle, "PRAGMA integrity_check(1)", first, &sound, nullptr);
    }
    sqlite3_close(handle);
    return !sound || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

Result<std::string> set_aside(const std::string& file) {
    namespace fs = std::filesystem;
    auto to = aside_name(file);
    std::error_code error;
    fs::rename(file, to, error);
    if (error)
        return std::unexpected(
            system_error("cannot set aside " + file + ", which is damaged", error.value()));
    // What was not yet in the file stays with it; the seal vouches for nothing any more.
    std::error_code ignored;
    fs::rename(file + "-wal", to + "-wal", ignored);
    fs::remove(file + "-shm", ignored);
    fs::remove(file + ".closed", ignored);
    return to;
}

} // namespace p2prc::store
