// The size of the file.
#include "store/sqlite/sqlite_store.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace p2prc::store {
namespace {

// Pages of 4 KiB. So many free ones, and a quarter of those in use, stay for what is written next.
constexpr std::uint64_t spare_pages = 256;
constexpr std::uint64_t pages_at_once = 1024;
// A larger file is not written anew as a whole.
constexpr std::uint64_t most_to_rewrite = 8192;

} // namespace

Result<SqliteStore::Pages> SqliteStore::pages() {
    const auto number = [this](const char* sql) -> Result<std::uint64_t> {
        const auto text = connection_->ask(sql);
        if (!text) return std::unexpected(text.error());
        std::uint64_t value = 0;
        std::from_chars(text->data(), text->data() + text->size(), value);
        return value;
    };
    const auto all = number("PRAGMA page_count");
    if (!all) return std::unexpected(all.error());
    const auto free = number("PRAGMA freelist_count");
    if (!free) return std::unexpected(free.error());
    return Pages{*all - std::min(*all, *free), *free};
}

Result<void> SqliteStore::make_shrinkable() {
    const std::lock_guard lock(mutex_);
    const auto mode = connection_->ask("PRAGMA auto_vacuum");
    if (!mode) return std::unexpected(mode.error());
    if (*mode == "2") return {};
    const auto now = pages();
    if (!now) return std::unexpected(now.error());
    // What it needs of the disk may be missing; then the file stays as large as it is.
    if (now->used <= most_to_rewrite) static_cast<void>(connection_->run("VACUUM"));
    return {};
}

Result<bool> SqliteStore::shrink() {
    const std::lock_guard lock(mutex_);
    if (!freed_) return false;
    const auto before = pages();
    if (!before) return std::unexpected(before.error());
    const auto spare = spare_pages + before->used / 4;
    if (before->free > spare) {
        const auto count = std::min(before->free - spare, pages_at_once);
        const auto sql = "PRAGMA incremental_vacuum(" + std::to_string(count) + ")";
        if (auto done = connection_->run(sql.c_str()); !done) return std::unexpected(done.error());
        const auto after = pages();
        if (!after) return std::unexpected(after.error());
        if (after->free < before->free) return cut_ = true;
    }
    freed_ = false;
    if (std::exchange(cut_, false))
        if (auto done = connection_->run("PRAGMA wal_checkpoint(TRUNCATE)"); !done)
            return std::unexpected(done.error());
    return false;
}

} // namespace p2prc::store
