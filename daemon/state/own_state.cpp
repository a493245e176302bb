#include "daemon/state/own_state.h"

#include "daemon/state/disk.h"
#include "store/sqlite.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>
#include <utility>

namespace p2prc::daemon {
namespace {

constexpr const char* table = "own";

// What is to be written, shared with the disk thread. Transactions that wait together become one: that is
// still all or nothing, and a burst of changes costs one sync.
class Outbox {
  public:
    explicit Outbox(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}

    // True: a write has to be posted.
    bool add(const std::vector<Change>& changes) {
        const std::lock_guard lock(mutex_);
        for (const auto& change : changes)
            waiting_[change.key] = change.value ? std::optional(document_text(*change.value)) : std::nullopt;
        return !std::exchange(posted_, true);
    }

    // On the disk thread.
    void write() {
        std::map<std::string, std::optional<std::string>> batch;
        {
            const std::lock_guard lock(mutex_);
            batch.swap(waiting_);
            posted_ = false;
        }
        store::Txn txn;
        for (const auto& [key, value] : batch)
            txn.then.push_back(value ? store::put(table, key, *value) : store::erase(table, key));
        auto done = store_->txn(txn);
        const std::lock_guard lock(mutex_);
        error_ = done ? std::nullopt : std::optional(done.error());
        if (!done) waiting_.merge(batch); // tried again with the next; what came meanwhile is newer and stays
    }

    // Whether there is something to try again.
    bool retry() {
        const std::lock_guard lock(mutex_);
        return !waiting_.empty() && !std::exchange(posted_, true);
    }

    Result<void> outcome() {
        const std::lock_guard lock(mutex_);
        if (error_) return std::unexpected(*error_);
        return {};
    }

  private:
    std::mutex mutex_;
    std::map<std::string, std::optional<std::string>> waiting_;
    std::optional<Error> error_;
    bool posted_ = false;
    std::unique_ptr<store::Store> store_;
};

} // namespace

struct OwnState::Shelf {
    Disk& disk;
    std::shared_ptr<Outbox> outbox;

    void post() {
        disk.post([outbox = outbox] { outbox->write(); });
    }
};

OwnState::OwnState(std::unique_ptr<Shelf> shelf) : shelf_(std::move(shelf)) {}
OwnState::~OwnState() = default;

Result<std::unique_ptr<OwnState>> OwnState::open(std::string file, Disk& disk) {
    store::SqliteOptions options;
    options.file = file;
    options.tables = {{table, false}};
    auto opened = store::open_sqlite(options);
    if (!opened) return std::unexpected(opened.error());
    auto items = (*opened)->range(table, "");
    if (!items) return std::unexpected(items.error());
    std::map<std::string, Entry, std::less<>> entries;
    for (const auto& item : items->items) {
        auto value = Json::parse(item.value, nullptr, false);
        if (value.is_discarded())
            return fail(ErrorCode::Failed, file + " is damaged: the document of " + item.key + " is not JSON",
                        "move the file away: the daemon finds the state of its processes again");
        entries[item.key] = {std::move(value), item.revision};
    }
    auto outbox = std::make_shared<Outbox>(std::move(*opened));
    std::unique_ptr<OwnState> own(new OwnState(std::make_unique<Shelf>(Shelf{disk, std::move(outbox)})));
    own->load(std::move(entries), items->revision);
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
    if (shelf_->outbox->add(effective)) shelf_->post();
    tell(std::move(effective));
}

boost::asio::awaitable<Result<void>> OwnState::flush() {
    const auto outbox = shelf_->outbox;
    if (outbox->retry()) shelf_->post();
    // Comes back after all that was posted before it.
    const auto disk = shelf_->disk.executor();
    co_await boost::asio::post(disk, boost::asio::use_awaitable);
    co_return outbox->outcome();
}

} // namespace p2prc::daemon
