#include "state/replica.h"

#include "core/keys.h"
#include "core/memory.h"
#include "state/disk.h"
#include "store/sqlite.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

namespace p2prc::state {
namespace {

constexpr const char* items_table = "replica";
constexpr const char* position_table = "position";

Result<std::unique_ptr<store::Store>> open_file(const std::string& file) {
    store::SqliteOptions options;
    options.file = file;
    options.tables = {{items_table, false}, {position_table, false}};
    options.sync = store::Sync::Relaxed;
    return store::open_sqlite(options);
}

void move_aside(const std::string& file) {
    std::error_code ignored;
    std::filesystem::rename(file, file + ".damaged", ignored);
    std::filesystem::remove(file + "-wal", ignored);
    std::filesystem::remove(file + ".closed", ignored);
}

struct Loaded {
    State::Entries entries;
    FeedPosition position;
};

// Nothing when a document cannot be read: the copy is then worthless.
std::optional<Loaded> load_from(store::Store& store) {
    Loaded loaded;
    auto items = store.range(items_table, "");
    auto position = store.get(position_table, "");
    if (!items || !position) return std::nullopt;
    for (const auto& item : items->items) {
        auto stored = Json::parse(item.value, nullptr, false);
        if (!stored.is_array() || stored.size() != 2 || !stored[0].is_number_unsigned()) return std::nullopt;
        loaded.entries.insert(
            {item.key, Entry{Document(item.key, std::move(stored[1])), stored[0].get<std::uint64_t>()}});
    }
    if (*position) {
        const auto stored = Json::parse((*position)->value, nullptr, false);
        if (!stored.is_array() || stored.size() != 2 || !stored[0].is_string() ||
            !stored[1].is_number_unsigned())
            return std::nullopt;
        loaded.position = {stored[0].get<std::string>(), stored[1].get<std::uint64_t>()};
    }
    return loaded;
}

} // namespace

namespace {

// What a node acts upon, and what somebody was told that it is so. The rest (status, measurements, liveness)
// is told anew by its owners.
bool agreed(std::string_view key) {
    const auto* family = keys::family_of(key);
    return family && family->durable;
}

store::Operation put_item(const std::string& key, std::uint64_t revision, const std::string& document) {
    return store::put(items_table, key, fmt::format("[{},{}]", revision, document));
}

// The file, shared with the disk thread.
class File {
  public:
    explicit File(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}

    std::optional<Error> error() {
        const std::lock_guard lock(mutex_);
        return error_;
    }

    // On the disk thread. A gap would make the copy false, an old copy is only old: after a failure nothing
    // is written until all is.
    void write(const store::Txn& txn) {
        if (error()) return;
        const auto done = store_->txn(txn);
        note(done ? std::nullopt : std::optional(done.error()));
    }
    void write_whole(store::Txn txn) {
        std::set<std::string_view> present;
        for (const auto& operation : txn.then)
            if (operation.table == items_table) present.insert(operation.key);
        const auto written = store_->range(items_table, "");
        if (!written) return note(written.error());
        std::vector<store::Operation> gone;
        for (const auto& item : written->items)
            if (!present.contains(item.key)) gone.push_back(store::erase(items_table, item.key));
        txn.then.insert(txn.then.end(), std::make_move_iterator(gone.begin()),
                        std::make_move_iterator(gone.end()));
        const auto done = store_->txn(txn);
        note(done ? std::nullopt : std::optional(done.error()));
    }

  private:
    void note(std::optional<Error> error) {
        const std::lock_guard lock(mutex_);
        error_ = std::move(error);
    }

    std::unique_ptr<store::Store> store_;
    std::mutex mutex_;
    std::optional<Error> error_;
};

} // namespace

struct Replica::Shelf {
    Disk& disk;
    std::shared_ptr<File> file;

    void write(const std::vector<Change>& changes, const Replica& replica, bool durable) {
        if (file->error()) return write_whole(replica);
        auto txn = place(replica);
        txn.durable = durable || std::ranges::any_of(changes, agreed, &Change::key);
        for (const auto& change : changes)
            txn.then.push_back(change.value
                                   ? put_item(change.key, change.revision, document_text(*change.value))
                                   : store::erase(items_table, change.key));
        disk.post([file = file, txn = std::move(txn)] { file->write(txn); });
    }
    void write_whole(const Replica& replica) {
        auto txn = place(replica);
        txn.durable = true;
        for (const auto& [key, entry] : replica.entries())
            txn.then.push_back(put_item(key, entry.revision, entry.document.text()));
        disk.post([file = file, txn = std::move(txn)]() mutable { file->write_whole(std::move(txn)); });
    }
    static store::Txn place(const Replica& replica) {
        store::Txn txn;
        txn.then.push_back(store::put(position_table, "",
                                      document_text(Json::array({replica.store_id(), replica.revision()}))));
        return txn;
    }
};

Replica::Replica(std::unique_ptr<Shelf> shelf) : shelf_(std::move(shelf)) {}
Replica::~Replica() = default;

Result<std::unique_ptr<Replica>> Replica::open(std::string file, Disk& disk) {
    auto opened = open_file(file);
    std::optional<Loaded> loaded;
    if (opened) loaded = load_from(**opened);
    // Failed: damaged, or of another version. In use or not permitted is for a person to solve.
    if (!loaded && (opened || opened.error().code == ErrorCode::Failed)) {
        if (opened) opened->reset();
        move_aside(file);
        opened = open_file(file);
        loaded.emplace();
    }
    if (!opened) return std::unexpected(opened.error());
    auto shelf = std::make_unique<Shelf>(Shelf{disk, std::make_shared<File>(std::move(*opened))});
    std::unique_ptr<Replica> replica(new Replica(std::move(shelf)));
    replica->load(std::move(loaded->entries), loaded->position.revision);
    replica->store_id_ = loaded->position.store_id;
    release_freed_memory();
    return replica;
}

bool Replica::apply(const std::string& store_id, std::uint64_t revision, std::vector<Change> changes) {
    if (store_id != store_id_ || revision <= this->revision()) return false;
    auto effective = merge(std::move(changes));
    advance(revision);
    shelf_->write(effective, *this, false);
    tell(std::move(effective));
    return true;
}

Subscription Replica::on_another_store(AnotherStore callback) {
    auto held = std::make_shared<AnotherStore>(std::move(callback));
    another_store_ = held;
    return Subscription(std::move(held));
}

void Replica::reset(std::string store_id, std::uint64_t revision, std::vector<Change> items) {
    const auto asked = another_store_.lock();
    if (asked && !store_id_.empty() && store_id != store_id_) (*asked)(items);
    std::set<std::string_view> present;
    for (const auto& item : items)
        present.insert(item.key);
    std::vector<Change> gone;
    for (const auto& [key, entry] : entries())
        if (!present.contains(key)) gone.push_back({key, std::nullopt, revision});
    gone.insert(gone.end(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
    store_id_ = std::move(store_id);
    auto effective = merge(std::move(gone));
    advance(revision);
    shelf_->write(effective, *this, true);
    // The whole state was in memory several times over, on its way here and to the disk.
    shelf_->disk.post(release_freed_memory);
    tell(std::move(effective));
}

boost::asio::awaitable<Result<void>> Replica::flush() {
    const auto file = shelf_->file;
    if (file->error()) shelf_->write_whole(*this);
    // Comes back after all that was posted before it.
    const auto disk = shelf_->disk.executor();
    co_await boost::asio::post(disk, boost::asio::use_awaitable);
    if (auto error = file->error()) co_return std::unexpected(std::move(*error));
    co_return Result<void>();
}

} // namespace p2prc::state
