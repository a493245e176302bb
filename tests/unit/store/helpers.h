// A directory of its own for each test, and stores opened in it.
#pragma once

#include "store/sqlite.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace p2prc::store::test {

class Directory {
  public:
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "p2prc-store-XXXXXX").string();
        path_ = mkdtemp(name.data());
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name = "test.db") const { return (path_ / name).string(); }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

inline SqliteOptions options(std::string file) {
    SqliteOptions made;
    made.file = std::move(file);
    made.tables = {{"main", true}, {"quiet", false}};
    return made;
}

inline std::unique_ptr<Store> open_store(const std::string& file) {
    auto store = open_sqlite(options(file));
    if (!store) {
        ADD_FAILURE() << store.error().message;
        return nullptr;
    }
    return std::move(*store);
}

// One transaction of unconditional writes; its revision.
inline std::uint64_t write(Store& store, std::vector<Operation> operations) {
    auto done = store.txn({{}, std::move(operations), {}});
    if (!done) ADD_FAILURE() << done.error().message;
    return done ? done->revision : 0;
}

inline std::string value_of(Store& store, const std::string& key, const std::string& table = "main") {
    auto item = store.get(table, key);
    if (!item) return "error: " + item.error().message;
    return *item ? (*item)->value : "(missing)";
}

} // namespace p2prc::store::test
