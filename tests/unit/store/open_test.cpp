// Opening: file modes, damage, versions, and whether the past can be vouched for.
#include "tests/unit/store/helpers.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

namespace p2prc::store::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::perms mode_of(const std::string& file) {
    return fs::status(file).permissions();
}

void sql(const std::string& file, const char* text) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(file.c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
}

class OpenTest : public testing::Test {
  protected:
    Error error() {
        auto opened = open_sqlite(options(directory_.file()));
        EXPECT_FALSE(opened);
        return opened ? Error{} : opened.error();
    }
    // As after a crash: the files as they are while the store is open, put back after it was closed.
    void crash(std::unique_ptr<Store> store) {
        const fs::path other = directory_.path() / "crashed";
        fs::create_directory(other);
        for (const auto* suffix : {"", "-wal"})
            fs::copy_file(directory_.file() + suffix, other / (std::string("test.db") + suffix));
        store.reset();
        fs::remove(directory_.file() + ".closed");
        for (const auto* suffix : {"", "-wal"})
            fs::copy_file(other / (std::string("test.db") + suffix), directory_.file() + suffix,
                          fs::copy_options::overwrite_existing); // keeps the inode
    }

    Directory directory_;
};

TEST_F(OpenTest, FilesAreTheOwnersAlone) {
    const auto before = umask(0);
    {
        const auto store = open_store(directory_.file());
        write(*store, {put("main", "/a", "1")});
        EXPECT_EQ(mode_of(directory_.file()), fs::perms(0600));
        EXPECT_EQ(mode_of(directory_.file() + "-wal"), fs::perms(0600));
    }
    EXPECT_EQ(mode_of(directory_.file() + ".closed"), fs::perms(0600));
    fs::permissions(directory_.file(), fs::perms(0644));
    const auto store = open_store(directory_.file());
    EXPECT_EQ(mode_of(directory_.file()), fs::perms(0600));
    umask(before);
}

TEST_F(OpenTest, ASecondProcessIsKeptOut) {
    const auto store = open_store(directory_.file());
    const auto refused = error();
    EXPECT_EQ(refused.code, ErrorCode::Conflict);
    EXPECT_THAT(refused.message, HasSubstr("in use"));
}

TEST_F(OpenTest, ANewerSchemaIsRefused) {
    open_store(directory_.file()).reset();
    sql(directory_.file(), "PRAGMA user_version = 2");
    const auto refused = error();
    EXPECT_THAT(refused.message, HasSubstr("newer p2prc (schema 2; this one knows 1)"));
    EXPECT_FALSE(refused.hint.empty());
}

TEST_F(OpenTest, AnotherProgramsDatabaseIsRefused) {
    sql(directory_.file(), "CREATE TABLE recipes (name)");
    EXPECT_THAT(error().message, HasSubstr("another program"));
}

TEST_F(OpenTest, AFileThatIsNoDatabaseIsRefusedAndNotTouched) {
    const std::string text(4096, 'x');
    std::ofstream(directory_.file()) << text;
    const auto refused = error();
    EXPECT_THAT(refused.message, HasSubstr("is damaged"));
    EXPECT_THAT(refused.hint, HasSubstr("backup"));
    std::ifstream in(directory_.file());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), text);
}

TEST_F(OpenTest, ADamagedPageIsNoticed) {
    {
        const auto store = open_store(directory_.file());
        for (int i = 0; i < 200; ++i)
            write(*store, {put("main", "/" + std::to_string(i), std::string(500, 'v'))});
    }
    std::fstream file(directory_.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 * 12);
    file << std::string(4096 * 4, '\x5a');
    file.close();
    const auto refused = error();
    EXPECT_EQ(refused.code, ErrorCode::Failed);
    EXPECT_THAT(refused.message, HasSubstr("is damaged"));
    EXPECT_TRUE(is_damaged(directory_.file()));
    const auto aside = set_aside(directory_.file());
    ASSERT_TRUE(aside);
    EXPECT_THAT(*aside, HasSubstr(directory_.file() + ".damaged-2"));
    EXPECT_TRUE(fs::exists(*aside));
    EXPECT_EQ(open_store(directory_.file())->origin(), Origin::Created);
}

TEST_F(OpenTest, WhatIsNotDamagedIsNotTakenForIt) {
    write(*open_store(directory_.file()), {put("main", "/a", "1")});
    EXPECT_FALSE(is_damaged(directory_.file()));
    EXPECT_FALSE(is_damaged(directory_.file("none.db")));
    std::ofstream(directory_.file("text.db")) << std::string(4096, 'x');
    EXPECT_TRUE(is_damaged(directory_.file("text.db")));
}

TEST_F(OpenTest, AMissingDirectoryIsNamed) {
    const auto opened = open_sqlite(options(directory_.file("none/test.db")));
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("none/test.db"));
}

TEST_F(OpenTest, ClosedInOrderItKeepsItsIdentity) {
    auto store = open_store(directory_.file());
    EXPECT_EQ(store->origin(), Origin::Created);
    EXPECT_EQ(store->store_id().size(), 32u);
    const auto id = store->store_id();
    write(*store, {put("main", "/a", "1")});
    for (int i = 0; i < 3; ++i) {
        store.reset();
        store = open_store(directory_.file());
        EXPECT_EQ(store->origin(), Origin::Reopened);
        EXPECT_EQ(store->store_id(), id);
    }
}

TEST_F(OpenTest, AfterACrashNothingIsMissingAndTheIdentityIsNew) {
    auto store = open_store(directory_.file());
    write(*store, {put("main", "/a", "1")});
    const auto id = store->store_id();
    crash(std::move(store));
    store = open_store(directory_.file());
    EXPECT_EQ(store->origin(), Origin::Recovered);
    EXPECT_NE(store->store_id(), id);
    EXPECT_EQ(store->revision(), 1u);
    EXPECT_EQ(value_of(*store, "/a"), "1");
}

TEST_F(OpenTest, ACopyOverTheFileIsARestore) {
    open_store(directory_.file()).reset();
    fs::copy_file(directory_.file(), directory_.file("older.db"));
    auto store = open_store(directory_.file());
    const auto id = store->store_id();
    write(*store, {put("main", "/a", "1")});
    store.reset();
    fs::copy_file(directory_.file("older.db"), directory_.file(), fs::copy_options::overwrite_existing);
    store = open_store(directory_.file());
    EXPECT_EQ(store->origin(), Origin::Restored);
    EXPECT_NE(store->store_id(), id);
    EXPECT_EQ(value_of(*store, "/a"), "(missing)");
}

TEST_F(OpenTest, ACopyElsewhereIsARestoreEvenWithItsSeal) {
    auto store = open_store(directory_.file());
    const auto id = store->store_id();
    store.reset();
    for (const auto* suffix : {"", ".closed"})
        fs::copy_file(directory_.file() + suffix, directory_.file("copy.db") + suffix);
    store = open_store(directory_.file("copy.db"));
    EXPECT_EQ(store->origin(), Origin::Restored);
    EXPECT_NE(store->store_id(), id);
}

TEST_F(OpenTest, ABackupIsWholeAndARestore) {
    auto store = open_store(directory_.file());
    write(*store, {put("main", "/a", "1"), put("quiet", "/q", "2")});
    ASSERT_TRUE(store->copy_to(directory_.file("backup.db")));
    EXPECT_EQ(mode_of(directory_.file("backup.db")), fs::perms(0600));
    EXPECT_EQ(store->copy_to(directory_.file("backup.db")).error().code, ErrorCode::Conflict);
    write(*store, {put("main", "/a", "later")});
    const auto backup = open_store(directory_.file("backup.db"));
    EXPECT_EQ(backup->origin(), Origin::Restored);
    EXPECT_NE(backup->store_id(), store->store_id());
    EXPECT_EQ(backup->revision(), 1u);
    EXPECT_EQ(value_of(*backup, "/a"), "1");
    EXPECT_EQ(value_of(*backup, "/q", "quiet"), "2");
}

} // namespace
} // namespace p2prc::store::test
