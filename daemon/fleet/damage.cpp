#include "daemon/fleet/damage.h"

#include "net/file.h"
#include "registry/damaged_rows.h"
#include "registry/registry.h"
#include "store/sqlite.h"

#include <algorithm>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

Result<void> write_store(const std::string& file, const std::map<std::string, std::string>& documents) {
    store::SqliteOptions options;
    options.file = file;
    options.tables = {{std::string(registry::replicated_table), true}};
    auto made = store::open_sqlite(options);
    if (!made) return std::unexpected(made.error());
    store::Txn txn;
    for (const auto& [key, text] : documents)
        txn.then.push_back(store::put(std::string(registry::replicated_table), key, text));
    const auto done = (*made)->txn(txn);
    if (!done) return std::unexpected(done.error());
    return {};
}

Error rows_notice(const fs::path& path, const std::string& date) {
    const auto noted = net::read_file(path);
    return {
        ErrorCode::Failed,
        "rows of the database registry.db could not be read (a disk that fails?), and were set aside on " +
            date + ": " + (noted ? registry::describe_damaged_rows(*noted) : noted.error().message),
        "see the kernel's log for errors of the disk; make again what was lost (p2prc spin, map-domain, "
        "invite); when this is dealt with: rm " +
            path.string()};
}

} // namespace

Result<void> rebuild_registry(const std::string& file, const std::map<std::string, std::string>& documents) {
    const auto made = file + ".made";
    const auto clear = [&]() -> Result<void> {
        for (const char* suffix : {"", "-wal", "-shm", ".closed"})
            if (const auto removed = net::remove_file(made + suffix); !removed) return removed;
        return {};
    };
    if (const auto cleared = clear(); !cleared) return cleared;
    if (const auto written = write_store(made, documents); !written) return written;
    if (const auto aside = store::set_aside(file); !aside) return std::unexpected(aside.error());
    // A copy is another file, and known for one that was restored: ids that may have been given out since are
    // skipped.
    std::error_code error;
    fs::copy_file(made, file, error);
    if (error) return std::unexpected(system_error("cannot write " + file, error.value()));
    return clear();
}

std::vector<Error> damage_notices(const fs::path& directory) {
    std::vector<Error> notices;
    std::error_code error;
    for (auto it = fs::directory_iterator(directory, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
        const auto name = it->path().filename().string();
        const auto mark = name.find(store::damaged_mark);
        if (mark == std::string::npos || name.ends_with("-wal")) continue;
        const auto file = name.substr(0, mark);
        const auto date = name.substr(mark + store::damaged_mark.size());
        if (file == "registry.rows") {
            notices.push_back(rows_notice(it->path(), date));
            continue;
        }
        const std::string what =
            "the database " + file + " was damaged (a disk that fails?), and was set aside on " + date + "; ";
        const std::string remove =
            "see the kernel's log for errors of the disk; when this is dealt with: rm " +
            it->path().string() + "*";
        if (file == "own.db")
            notices.push_back({ErrorCode::Failed,
                               what + "lost is what this node noted of its own processes: reasons of earlier "
                                      "stops, and what was asked here while the root was away",
                               remove});
        else if (file == "registry.db")
            notices.push_back({ErrorCode::Failed,
                               what + "the registry was rebuilt from this node's copy of it: lost are open "
                                      "invitations, and perhaps the last changes",
                               remove});
    }
    std::ranges::sort(notices, {}, &Error::message);
    return notices;
}

} // namespace p2prc::daemon
