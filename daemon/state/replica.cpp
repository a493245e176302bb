#include "daemon/state/replica.h"

#include "daemon/state/disk.h"
#include "store/sqlite.h"

#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

namespace p2prc::daemon {
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
    std::map<std::string, Entry, std::less<>> entries;
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
        loaded.entries[item.key] = {std::move(stored[1]), stored[0].get<std::uint64_t>()};
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

struct Replica::Shelf {
    Disk& disk;
    std::shared_ptr<store::Store> store;
    struct Failure {
        std::mutex mutex;
        std::optional<Error> error;
    };
    std::shared_ptr<Failure> failure = std::make_shared<Failure>();

    void write(const std::vector<Change>& changes, const FeedPosition& position) {
        store::Txn txn;
        for (const auto& change : changes) {
            txn.then.push_back(change.value
                                   ? store::put(items_table, change.key,
                                                document_text(Json::array({change.revision, *change.value})))
                                   : store::erase(items_table, change.key));
        }
        txn.then.push_back(store::put(position_table, "",
                                      document_text(Json::array({position.store_id, position.revision}))));
        disk.post([store = store, failure = failure, txn = std::move(txn)] {
            const std::lock_guard lock(failure->mutex);
            // A gap would make the copy false; an old copy is only old.
            if (failure->error) return;
            if (auto done = store->txn(txn); !done) failure->error = done.error();
        });
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
    auto shelf = std::make_unique<Shelf>(Shelf{disk, std::move(*opened)});
    std::unique_ptr<Replica> replica(new Replica(std::move(shelf)));
    replica->load(std::move(loaded->entries), loaded->position.revision);
    replica->store_id_ = loaded->position.store_id;
    return replica;
}

bool Replica::apply(const std::string& store_id, std::uint64_t revision, std::vector<Change> changes) {
    if (store_id != store_id_ || revision <= this->revision()) return false;
    auto effective = merge(std::move(changes));
    advance(revision);
    shelf_->write(effective, position());
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
    shelf_->write(effective, position());
    tell(std::move(effective));
}

std::optional<Error> Replica::disk_error() const {
    const std::lock_guard lock(shelf_->failure->mutex);
    return shelf_->failure->error;
}

} // namespace p2prc::daemon
