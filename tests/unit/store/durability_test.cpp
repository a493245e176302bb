// Killed at any instant, the store has lost nothing that it acknowledged and shows no half transaction.
#include "tests/unit/store/helpers.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

namespace p2prc::store::test {
namespace {

namespace fs = std::filesystem;

// Transaction n writes n under three keys, one of them new, and the value has the length of a real document.
std::vector<Operation> transaction(std::uint64_t n) {
    const auto text = std::to_string(n);
    return {put("main", "/last", text), put("main", "/each/" + text, text + std::string(300, '.')),
            put("quiet", "/last", text)};
}

std::uint64_t number(const std::string& text) {
    return text == "(missing)" ? 0 : std::stoull(text);
}

// All of the past is kept, to be compared with the items.
SqliteOptions with_all_history(const std::string& file) {
    auto made = options(file);
    made.keep_bytes = 1 << 30;
    return made;
}

std::unique_ptr<Store> open_whole(const std::string& file) {
    auto store = open_sqlite(with_all_history(file));
    if (store) return std::move(*store);
    ADD_FAILURE() << store.error().message;
    return nullptr;
}

// The store is exactly the state after some transaction; which one.
std::uint64_t whole_until(Store& store) {
    const auto last = number(value_of(store, "/last"));
    EXPECT_EQ(store.revision(), last);
    EXPECT_EQ(number(value_of(store, "/last", "quiet")), last);
    const auto each = store.range("main", "/each/");
    EXPECT_TRUE(each);
    EXPECT_EQ(each->items.size(), last);
    for (const auto& item : each->items) {
        EXPECT_LE(item.revision, last);
        EXPECT_EQ(item.key, "/each/" + std::to_string(item.revision));
    }
    // The history says the same as the items.
    std::uint64_t told = 0;
    const auto started = store.watch("main", "", 1, [&](const Commit& commit) {
        EXPECT_EQ(commit.revision, ++told);
        EXPECT_EQ(commit.changes.size(), 2u);
    });
    EXPECT_TRUE(started);
    EXPECT_EQ(told, last);
    store.unwatch(started->id);
    return last;
}

// Writes transactions and reports each on the pipe after it was acknowledged, until it is killed.
[[noreturn]] void child(const std::string& file, int acknowledgements) {
    auto store = open_sqlite(with_all_history(file));
    if (!store) _exit(1);
    for (std::uint64_t n = (*store)->revision() + 1;; ++n) {
        auto done = (*store)->txn({{}, transaction(n), {}});
        if (!done || done->revision != n) _exit(2);
        if (::write(acknowledgements, &n, sizeof n) != sizeof n) _exit(3);
    }
}

TEST(DurabilityTest, KilledInALoopItLosesNothingAcknowledged) {
    const Directory directory;
    std::mt19937 random(20260101);
    std::uint64_t acknowledged = 0;
    for (int round = 0; round < 40; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(pipe(pipe_ends), 0);
        const auto pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            close(pipe_ends[0]);
            child(directory.file(), pipe_ends[1]);
        }
        close(pipe_ends[1]);
        // At least one acknowledgement, then some more at random.
        const unsigned wanted = 1 + random() % 20;
        for (unsigned i = 0; i < wanted; ++i) {
            std::uint64_t n = 0;
            ASSERT_EQ(read(pipe_ends[0], &n, sizeof n), static_cast<ssize_t>(sizeof n)) << "round " << round;
            ASSERT_GT(n, acknowledged);
            acknowledged = n;
        }
        usleep(random() % 3000);
        kill(pid, SIGKILL);
        int status = 0;
        waitpid(pid, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
        for (std::uint64_t n = 0; read(pipe_ends[0], &n, sizeof n) == sizeof n;)
            acknowledged = n;
        close(pipe_ends[0]);
        const auto store = open_whole(directory.file());
        ASSERT_TRUE(store);
        const auto last = whole_until(*store);
        // One more may have been committed but not yet reported.
        EXPECT_GE(last, acknowledged);
        EXPECT_LE(last, acknowledged + 1);
        acknowledged = last;
    }
}

TEST(DurabilityTest, ALogThatIsCutAnywhereShowsWholeTransactions) {
    const Directory directory;
    constexpr std::uint64_t total = 60;
    const auto store = open_whole(directory.file());
    for (std::uint64_t n = 1; n <= total; ++n)
        write(*store, transaction(n));
    const auto log_size = fs::file_size(directory.file() + "-wal");
    std::mt19937 random(7);
    std::uint64_t seen_some = 0;
    for (int round = 0; round < 120; ++round) {
        const auto copy = directory.file("cut" + std::to_string(round) + ".db");
        fs::copy_file(directory.file(), copy);
        fs::copy_file(directory.file() + "-wal", copy + "-wal");
        const auto cut = round == 0 ? log_size : random() % log_size;
        fs::resize_file(copy + "-wal", cut);
        if (round % 3 == 2 && cut > 0) {
            // As a torn sector leaves it: the end is there, but is garbage.
            std::fstream log(copy + "-wal", std::ios::in | std::ios::out | std::ios::binary);
            const auto garbage = std::min<std::uint64_t>(cut, 512);
            log.seekp(static_cast<std::streamoff>(cut - garbage));
            log << std::string(garbage, '\xa5');
        }
        const auto cut_store = open_whole(copy);
        ASSERT_TRUE(cut_store);
        const auto last = whole_until(*cut_store);
        EXPECT_LE(last, total);
        if (round == 0) {
            EXPECT_EQ(last, total);
        }
        if (last > 0 && last < total) ++seen_some;
        // It goes on from there.
        EXPECT_EQ(write(*cut_store, transaction(last + 1)), last + 1);
    }
    EXPECT_GT(seen_some, 50u);
}

} // namespace
} // namespace p2prc::store::test
