#include "state/own_state.h"

#include "state/disk.h"
#include "store/sqlite.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <deque>
#include <mutex>
#include <utility>

namespace p2prc::state {
namespace {

constexpr const char* table = "own";

using Batch = std::map<std::string, std::optional<std::string>>;

// What is to be written, shared with the disk thread: a batch for each write that is posted there.
class Outbox {
  public:
    explicit Outbox(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}

    // Transactions that wait together become one: that is still all or nothing, and a burst of changes costs
    // one sync. But only while nothing else was posted since, of which `last` is the number: what is set
    // after a change of the replica says that the change was acted upon, and must not be on disk before it.
    bool join(const std::vector<Change>& changes, std::uint64_t last) {
        const std::lock_guard lock(mutex_);
        if (batches_.empty() || last != posted_) return false;
        add(batches_.back(), changes);
        return true;
    }
    void begin(const std::vector<Change>& changes) {
        const std::lock_guard lock(mutex_);
        add(batches_.emplace_back(), changes);
    }
    void posted(std::uint64_t number) {
        const std::lock_guard lock(mutex_);
        posted_ = number;
    }

    // On the disk thread.
    void write() {
        Batch batch;
        {
            const std::lock_guard lock(mutex_);
            batch = std::move(batches_.front());
            batches_.pop_front();
            batch.merge(std::exchange(refused_, {})); // what the batch has itself is newer
        }
        store::Txn txn;
        for (const auto& [key, value] : batch)
            txn.then.push_back(value ? store::put(table, key, *value) : store::erase(table, key));
        auto done = store_->txn(txn);
        const std::lock_guard lock(mutex_);
        error_ = done ? std::nullopt : std::optional(done.error());
        if (!done) refused_ = std::move(batch); // tried again with the next
    }

    // Whether there is something to try again.
    bool refused() {
        const std::lock_guard lock(mutex_);
        return !refused_.empty();
    }

    Result<void> outcome() {
        const std::lock_guard lock(mutex_);
        if (error_) return std::unexpected(*error_);
        return {};
    }

  private:
    static void add(Batch& batch, const std::vector<Change>& changes) {
        for (const auto& change : changes)
            batch[change.key] = change.value ? std::optional(document_text(*change.value)) : std::nullopt;
    }

    std::mutex mutex_;
    std::deque<Batch> batches_;
    std::uint64_t posted_ = 0; // the number of the last one's write
    Batch refused_;
    std::optional<Error> error_;
    std::unique_ptr<store::Store> store_;
};

} // namespace

struct OwnState::Shelf {
    Disk& disk;
    std::shared_ptr<Outbox> outbox;

    void write(const std::vector<Change>& changes) {
        if (outbox->join(changes, disk.last())) return;
        outbox->begin(changes);
        outbox->posted(disk.post([outbox = outbox] { outbox->write(); }));
    }
};

OwnState::OwnState(std::unique_ptr<Shelf> shelf) : shelf_(std::move(shelf)) {}
OwnState::~OwnState() = default;

namespace {

Result<std::unique_ptr<store::Store>> open_file(const std::string& file) {
    store::SqliteOptions options;
    options.file = file;
    options.tables = {{table, false}};
    return store::open_sqlite(options);
}

struct Loaded {
    State::Entries entries;
    std::uint64_t revision = 0;
};

Result<Loaded> load_from(store::Store& store, const std::string& file) {
    auto items = store.range(table, "");
    if (!items) return std::unexpected(items.error());
    Loaded loaded{{}, items->revision};
    for (const auto& item : items->items) {
        auto value = Json::parse(item.value, nullptr, false);
        if (value.is_discarded())
            return fail(ErrorCode::InvalidSpec, file + ": the document of " + item.key + " is not JSON");
        loaded.entries.insert({item.key, Entry{Document(item.key, std::move(value)), item.revision}});
    }
    return loaded;
}

} // namespace

Result<std::unique_ptr<OwnState>> OwnState::open(std::string file, Disk& disk) {
    auto opened = open_file(file);
    auto loaded = opened ? load_from(**opened, file) : std::unexpected(opened.error());
    if (!loaded) {
        // A document that cannot be read is damage too. What is in use, of a newer version, or not permitted
        // is for a person to solve.
        const bool unreadable = loaded.error().code == ErrorCode::InvalidSpec;
        if (opened) opened->reset();
        if (!unreadable && !store::is_damaged(file)) return std::unexpected(loaded.error());
        if (const auto aside = store::set_aside(file); !aside) return std::unexpected(aside.error());
        opened = open_file(file);
        if (!opened) return std::unexpected(opened.error());
        loaded = load_from(**opened, file);
        if (!loaded) return std::unexpected(loaded.error());
    }
    auto outbox = std::make_shared<Outbox>(std::move(*opened));
    std::unique_ptr<OwnState> own(new OwnState(std::make_unique<Shelf>(Shelf{disk, std::move(outbox)})));
    own->load(std::move(loaded->entries), loaded->revision);
    return own;
}

void OwnState::set(std::string key, Json value) {
    std::vector<Change> one;
    one.push_back({std::move(key), std::move(value), 0});
    update(std::move(one));
}

void OwnState::erase(std::string key) {
    std::vector<Change> one;
    one.push_back({std::move(key), std::nullopt, 0});
    update(std::move(one));
}

void OwnState::update(std::vector<Change> changes) {
    const auto next = revision() + 1;
    for (auto& change : changes)
        change.revision = next;
    auto effective = merge(std::move(changes));
    if (effective.empty()) return;
    advance(next);
    shelf_->write(effective);
    tell(std::move(effective));
}

boost::asio::awaitable<Result<void>> OwnState::flush() {
    const auto outbox = shelf_->outbox;
    if (outbox->refused()) shelf_->write({});
    // Comes back after all that was posted before it.
    const auto disk = shelf_->disk.executor();
    co_await boost::asio::post(disk, boost::asio::use_awaitable);
    co_return outbox->outcome();
}

} // namespace p2prc::state
