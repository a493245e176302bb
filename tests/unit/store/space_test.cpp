// The file becomes smaller again.
#include "tests/unit/store/helpers.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>

namespace p2prc::store::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t large = 100'000;

// Of a file that no store has open.
std::string ask(const std::string& file, const char* text) {
    sqlite3* handle = nullptr;
    EXPECT_EQ(sqlite3_open(file.c_str(), &handle), SQLITE_OK);
    std::string answer;
    const auto take = [](void* to, int, char** values, char**) {
        *static_cast<std::string*>(to) = values[0] ? values[0] : "";
        return 0;
    };
    EXPECT_EQ(sqlite3_exec(handle, text, take, &answer, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
    return answer;
}

class SpaceTest : public testing::Test {
  protected:
    // `count` large values, and their removal.
    void fill(int count) {
        for (int i = 0; i < count; ++i)
            write(*store_, {put("quiet", "/" + std::to_string(i), std::string(large, 'x'))});
    }
    void empty(int count) {
        for (int i = 0; i < count; ++i)
            write(*store_, {erase("quiet", "/" + std::to_string(i))});
    }
    int shrink() {
        int steps = 0;
        for (; steps < 1000; ++steps) {
            const auto more = store_->shrink();
            EXPECT_TRUE(more) << more.error().message;
            if (!more || !*more) break;
        }
        return steps;
    }
    std::uintmax_t size() const { return fs::file_size(directory_.file()); }

    Directory directory_;
    std::unique_ptr<Store> store_ = open_store(directory_.file());
};

TEST_F(SpaceTest, WhatWasRemovedIsGivenBackInSteps) {
    write(*store_, {put("main", "/kept", std::string(large, 'k'))});
    fill(200);
    EXPECT_EQ(shrink(), 0);
    ASSERT_GT(fs::file_size(directory_.file()) + fs::file_size(directory_.file() + "-wal"), 200 * large);
    empty(200);
    EXPECT_GE(shrink(), 4);
    EXPECT_LT(size(), 2u << 20);
    EXPECT_EQ(fs::file_size(directory_.file() + "-wal"), 0u);
    EXPECT_EQ(shrink(), 0);
    store_.reset();
    store_ = open_store(directory_.file());
    EXPECT_EQ(store_->origin(), Origin::Reopened);
    EXPECT_EQ(value_of(*store_, "/kept"), std::string(large, 'k'));
}

TEST_F(SpaceTest, FormerValuesToo) {
    for (int i = 0; i < 400; ++i)
        write(*store_, {put("main", "/a", std::string(large, static_cast<char>('a' + i % 26)))});
    EXPECT_LT(size(), 8u << 20);
    EXPECT_LE(fs::file_size(directory_.file() + "-wal"), 9u << 20);
}

TEST_F(SpaceTest, WhatIsWrittenSoonAgainKeepsItsRoom) {
    fill(20);
    for (int i = 0; i < 5; ++i)
        write(*store_, {erase("quiet", "/" + std::to_string(i))});
    EXPECT_EQ(shrink(), 0);
}

TEST_F(SpaceTest, AnOlderFileBecomesOneThatShrinks) {
    fill(20);
    empty(18);
    store_.reset();
    ask(directory_.file(), "PRAGMA auto_vacuum = NONE; VACUUM");
    ASSERT_EQ(ask(directory_.file(), "PRAGMA auto_vacuum"), "0");
    store_ = open_store(directory_.file());
    EXPECT_EQ(value_of(*store_, "/19", "quiet"), std::string(large, 'x'));
    fill(200);
    empty(200);
    EXPECT_GE(shrink(), 4);
    EXPECT_LT(size(), 2u << 20);
    store_.reset();
    EXPECT_EQ(ask(directory_.file(), "PRAGMA auto_vacuum"), "2");
}

// Transaction n writes n, and one value in place of another, which alone is large.
Txn replace(std::uint64_t n) {
    const auto text = std::to_string(n);
    return {{},
            {put("main", "/last", text),
             put("main", "/value/" + text, text + std::string(n % 2 == 1 ? 30 * large : 1, 'x')),
             erase("main", "/value/" + std::to_string(n - 1))},
            {}};
}

[[noreturn]] void replace_and_shrink(const std::string& file) {
    auto store = open_sqlite(options(file));
    if (!store) _exit(1);
    for (;;) {
        const auto n = (*store)->revision() + 1;
        if (!(*store)->txn(replace(n)) || !(*store)->compact(n)) _exit(2);
        for (bool more = true; more;) {
            const auto shrunk = (*store)->shrink();
            if (!shrunk) _exit(3);
            more = *shrunk;
        }
    }
}

TEST_F(SpaceTest, KilledWhileItShrinksItShowsWholeTransactions) {
    store_.reset();
    std::mt19937 random(20260102);
    std::uint64_t last = 0;
    useconds_t longest = 100'000; // more where the machine is too slow for a transaction within it
    for (int round = 0; round < 20; ++round) {
        const auto pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) replace_and_shrink(directory_.file());
        usleep(50'000 + random() % longest);
        kill(pid, SIGKILL);
        int status = 0;
        waitpid(pid, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
        store_ = open_store(directory_.file()); // which checks the pages
        ASSERT_TRUE(store_);
        EXPECT_GE(store_->revision(), last);
        if (store_->revision() == last) longest = std::min<useconds_t>(2 * longest, 900'000);
        last = store_->revision();
        const auto values = store_->range("main", "/value/");
        ASSERT_TRUE(values);
        ASSERT_EQ(values->items.size(), last == 0 ? 0u : 1u);
        if (last > 0) {
            EXPECT_EQ(value_of(*store_, "/last"), std::to_string(last));
            EXPECT_EQ(values->items[0].key, "/value/" + std::to_string(last));
            EXPECT_TRUE(values->items[0].value.starts_with(std::to_string(last) + "x"));
        }
        store_.reset();
        EXPECT_EQ(ask(directory_.file(), "PRAGMA integrity_check"), "ok");
    }
    EXPECT_GT(last, 1u);
}

} // namespace
} // namespace p2prc::store::test
