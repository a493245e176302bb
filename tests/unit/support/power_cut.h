// What SQLite's files would be after a power cut: their content as of the last sync of each.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace p2prc::test {

// Takes the place of SQLite's file layer for databases that are opened while it lives. Directories, and what
// else is in them, are taken for durable.
class PowerCut {
  public:
    PowerCut();
    ~PowerCut();
    PowerCut(const PowerCut&) = delete;
    PowerCut& operator=(const PowerCut&) = delete;

    // Called after each sync with the file's name, on the thread that syncs.
    void on_sync(std::function<void(const std::string& file)> callback);
    // Writes what has survived of the databases in `from` into `to`.
    static void restore(const std::filesystem::path& from, const std::filesystem::path& to);
};

} // namespace p2prc::test
