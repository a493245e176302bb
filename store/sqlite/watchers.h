// The watchers of keys.
#pragma once

#include "store/store.h"

#include <map>
#include <string>

namespace p2prc::store {

class Watchers {
  public:
    std::uint64_t add(std::string table, std::string prefix, WatchCallback callback);
    void remove(std::uint64_t id) { watchers_.erase(id); }
    // Tells each watcher of `table` its share of the commit.
    void tell(const std::string& table, const Commit& commit) const;

  private:
    struct Watcher {
        std::string table;
        std::string prefix;
        WatchCallback callback;
    };
    std::map<std::uint64_t, Watcher> watchers_;
    std::uint64_t last_ = 0;
};

} // namespace p2prc::store
