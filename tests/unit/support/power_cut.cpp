#include "tests/unit/support/power_cut.h"

#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <mutex>

namespace p2prc::test {
namespace {

// SQLite's file layer is C, so this is global.
std::mutex mutex;
std::map<std::string, std::string> durable;
std::function<void(const std::string&)> synced;
sqlite3_vfs* real = nullptr;
sqlite3_vfs layer{};

// A file as SQLite sees it; the real one lies behind it in memory.
struct Layered {
    sqlite3_file base;
    const char* name;
    sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

Layered& layered(sqlite3_file* file) {
    return *reinterpret_cast<Layered*>(file);
}

// Calls the same method of the real file.
template <auto Method, class... Arguments>
int pass(sqlite3_file* file, Arguments... arguments) {
    auto* inner = layered(file).inner();
    return (inner->pMethods->*Method)(inner, arguments...);
}

std::string content_of(const std::string& name) {
    std::ifstream in(name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

int do_sync(sqlite3_file* file, int flags) {
    const int code = pass<&sqlite3_io_methods::xSync>(file, flags);
    if (code != SQLITE_OK || !layered(file).name) return code;
    const std::string name = layered(file).name;
    std::function<void(const std::string&)> callback;
    {
        const std::lock_guard lock(mutex);
        durable[name] = content_of(name);
        callback = synced;
    }
    if (callback) callback(name);
    return code;
}

// Version 1: no shared memory, which an exclusive log does not need.
sqlite3_io_methods methods() {
    sqlite3_io_methods made{};
    made.iVersion = 1;
    made.xClose = pass<&sqlite3_io_methods::xClose>;
    made.xRead = pass<&sqlite3_io_methods::xRead, void*, int, sqlite3_int64>;
    made.xWrite = pass<&sqlite3_io_methods::xWrite, const void*, int, sqlite3_int64>;
    made.xTruncate = pass<&sqlite3_io_methods::xTruncate, sqlite3_int64>;
    made.xSync = do_sync;
    made.xFileSize = pass<&sqlite3_io_methods::xFileSize, sqlite3_int64*>;
    made.xLock = pass<&sqlite3_io_methods::xLock, int>;
    made.xUnlock = pass<&sqlite3_io_methods::xUnlock, int>;
    made.xCheckReservedLock = pass<&sqlite3_io_methods::xCheckReservedLock, int*>;
    made.xFileControl = pass<&sqlite3_io_methods::xFileControl, int, void*>;
    made.xSectorSize = pass<&sqlite3_io_methods::xSectorSize>;
    made.xDeviceCharacteristics = pass<&sqlite3_io_methods::xDeviceCharacteristics>;
    return made;
}

int do_delete(sqlite3_vfs*, const char* name, int sync) {
    {
        const std::lock_guard lock(mutex);
        durable.erase(name);
    }
    return real->xDelete(real, name, sync);
}

int do_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    static const sqlite3_io_methods table = methods();
    auto& made = layered(file);
    made.base.pMethods = nullptr;
    if (name) {
        // What is there already counts as durable.
        const std::lock_guard lock(mutex);
        if (auto content = content_of(name); !content.empty()) durable.try_emplace(name, std::move(content));
    }
    made.name = name; // lives as long as the file: sqlite.org/c3ref/vfs.html
    const int code = real->xOpen(real, name, made.inner(), flags, out);
    if (made.inner()->pMethods) made.base.pMethods = &table;
    return code;
}

} // namespace

PowerCut::PowerCut() {
    real = sqlite3_vfs_find(nullptr);
    layer = *real;
    layer.zName = "power-cut";
    layer.szOsFile = static_cast<int>(sizeof(Layered)) + real->szOsFile;
    layer.xOpen = do_open;
    layer.xDelete = do_delete;
    sqlite3_vfs_register(&layer, 1);
    durable.clear();
}

PowerCut::~PowerCut() {
    on_sync({});
    sqlite3_vfs_unregister(&layer);
    sqlite3_vfs_register(real, 1);
}

void PowerCut::on_sync(std::function<void(const std::string& file)> callback) {
    const std::lock_guard lock(mutex);
    synced = std::move(callback);
}

void PowerCut::restore(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::create_directories(to);
    const std::lock_guard lock(mutex);
    for (const auto& [name, content] : durable) {
        const std::filesystem::path path(name);
        if (path.parent_path() == from) std::ofstream(to / path.filename(), std::ios::binary) << content;
    }
}

} // namespace p2prc::test
