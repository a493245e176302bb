// Nothing is acknowledged before it was synced: SQLite runs on a file layer that counts what is not yet on
// disk.
#include "tests/unit/store/helpers.h"

#include <sqlite3.h>

#include <map>

namespace p2prc::store::test {
namespace {

// Writes since the last sync, by file name; and syncs in all. SQLite's file layer is C, so this is global.
std::map<std::string, int> unsynced;
int syncs = 0;
sqlite3_vfs* real = nullptr;

// A file as SQLite sees it; the real one lies behind it in memory.
struct CountingFile {
    sqlite3_file base;
    const char* name;
    sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

CountingFile& counting(sqlite3_file* file) {
    return *reinterpret_cast<CountingFile*>(file);
}

sqlite3_file* inner(sqlite3_file* file) {
    return counting(file).inner();
}

int do_close(sqlite3_file* f) {
    return inner(f)->pMethods->xClose(inner(f));
}
int do_read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
    return inner(f)->pMethods->xRead(inner(f), to, size, at);
}
int do_write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
    ++unsynced[counting(f).name];
    return inner(f)->pMethods->xWrite(inner(f), from, size, at);
}
int do_truncate(sqlite3_file* f, sqlite3_int64 size) {
    return inner(f)->pMethods->xTruncate(inner(f), size);
}
int do_sync(sqlite3_file* f, int flags) {
    const int code = inner(f)->pMethods->xSync(inner(f), flags);
    if (code == SQLITE_OK) {
        unsynced[counting(f).name] = 0;
        ++syncs;
    }
    return code;
}
int do_size(sqlite3_file* f, sqlite3_int64* size) {
    return inner(f)->pMethods->xFileSize(inner(f), size);
}
int do_lock(sqlite3_file* f, int kind) {
    return inner(f)->pMethods->xLock(inner(f), kind);
}
int do_unlock(sqlite3_file* f, int kind) {
    return inner(f)->pMethods->xUnlock(inner(f), kind);
}
int do_check(sqlite3_file* f, int* out) {
    return inner(f)->pMethods->xCheckReservedLock(inner(f), out);
}
int do_control(sqlite3_file* f, int op, void* arg) {
    return inner(f)->pMethods->xFileControl(inner(f), op, arg);
}
int do_sector(sqlite3_file* f) {
    return inner(f)->pMethods->xSectorSize(inner(f));
}
int do_traits(sqlite3_file* f) {
    return inner(f)->pMethods->xDeviceCharacteristics(inner(f));
}

// Version 1: no shared memory, which an exclusive log does not need.
sqlite3_io_methods methods() {
    sqlite3_io_methods made{};
    made.iVersion = 1;
    made.xClose = do_close;
    made.xRead = do_read;
    made.xWrite = do_write;
    made.xTruncate = do_truncate;
    made.xSync = do_sync;
    made.xFileSize = do_size;
    made.xLock = do_lock;
    made.xUnlock = do_unlock;
    made.xCheckReservedLock = do_check;
    made.xFileControl = do_control;
    made.xSectorSize = do_sector;
    made.xDeviceCharacteristics = do_traits;
    return made;
}

int do_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    static const sqlite3_io_methods table = methods();
    auto& made = counting(file);
    made.base.pMethods = nullptr;
    made.name = name ? name : "(temporary)";
    const int code = real->xOpen(real, name, made.inner(), flags, out);
    if (made.inner()->pMethods) made.base.pMethods = &table;
    return code;
}

class SyncTest : public testing::Test {
  protected:
    SyncTest() {
        real = sqlite3_vfs_find(nullptr);
        layer_ = *real;
        layer_.zName = "counting";
        layer_.szOsFile = static_cast<int>(sizeof(CountingFile)) + real->szOsFile;
        layer_.xOpen = do_open;
        sqlite3_vfs_register(&layer_, 1);
        unsynced.clear();
        syncs = 0;
    }
    ~SyncTest() override {
        sqlite3_vfs_unregister(&layer_);
        sqlite3_vfs_register(real, 1);
    }

    static int pending() {
        int all = 0;
        for (const auto& [name, writes] : unsynced)
            all += writes;
        return all;
    }

    sqlite3_vfs layer_{};
    Directory directory_;
};

TEST_F(SyncTest, EachAcknowledgementComesAfterASync) {
    auto few = options(directory_.file());
    few.keep_revisions = 64; // so that history is forgotten, and the log is checkpointed, on the way
    const auto store = std::move(*open_sqlite(few));
    EXPECT_EQ(pending(), 0);
    for (int i = 0; i < 1500; ++i) {
        const int before = syncs;
        write(*store,
              {put("main", "/" + std::to_string(i % 50), std::string(700, 'v')), put("quiet", "/a", "1")});
        ASSERT_GT(syncs, before) << "transaction " << i << " was not synced";
        ASSERT_EQ(unsynced[directory_.file() + "-wal"], 0) << "transaction " << i;
    }
    ASSERT_GT(unsynced.count(directory_.file()), 0u) << "the log was never checkpointed";
}

TEST_F(SyncTest, LeasesAndCompactionToo) {
    const auto store = std::move(*open_sqlite(options(directory_.file())));
    write(*store, {put("main", "/a", "1")});
    int before = syncs;
    const auto lease = store->lease_grant(std::chrono::seconds(1));
    ASSERT_TRUE(lease);
    EXPECT_GT(syncs, std::exchange(before, syncs));
    ASSERT_TRUE(store->lease_revoke(*lease));
    EXPECT_GT(syncs, std::exchange(before, syncs));
    ASSERT_TRUE(store->compact(1));
    EXPECT_GT(syncs, before);
    EXPECT_EQ(pending(), 0);
}

TEST_F(SyncTest, AReadSyncsNothingAndARelaxedStoreDoesNotEither) {
    auto relaxed = options(directory_.file());
    relaxed.sync = Sync::Relaxed;
    const auto store = std::move(*open_sqlite(relaxed));
    const int before = syncs;
    write(*store, {put("main", "/a", "1")});
    static_cast<void>(store->range("main", ""));
    EXPECT_EQ(syncs, before);
}

} // namespace
} // namespace p2prc::store::test
