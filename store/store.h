// A revisioned key-value store of bytes: transactions, ranges, watches and leases over named tables.
//
// All tables of a store share one revision counter, one identity and one transaction. Nothing is acknowledged
// before it is on disk. A store may be used from any thread; a call may wait for the disk, so event loops
// call it from a thread of their own.
#pragma once

#include "core/error.h"
#include "store/types.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

namespace p2prc::store {

// Called after the commit is durable, in the order of revisions, on the thread that committed and under the
// store's lock: it hands the commit on and must not call the store.
using WatchCallback = std::function<void(const Commit&)>;

enum class WatchOutcome {
    Watching,  // everything from the asked revision on was or will be delivered
    Compacted, // the history from there is gone, or more than all items: take a range and watch from its
               // revision + 1
    Ahead,     // the asked revision lies in the future of this store (it was restored): the same
};

struct WatchStart {
    WatchOutcome outcome = WatchOutcome::Watching;
    std::uint64_t id = 0; // for unwatch, when Watching
};

// How the store was found when it was opened.
enum class Origin {
    Created,   // it is new
    Reopened,  // it was closed in order and nobody touched it since
    Recovered, // it was not closed in order: a crash or a power cut; nothing acknowledged is missing
    Restored,  // its file was put there by somebody else: it may be older than what its watchers have seen
};

class Store {
  public:
    virtual ~Store() = default;

    // 128 random bits in hexadecimal. New when the store is created, and whenever its past cannot be vouched
    // for (Recovered, Restored): a revision is only meaningful together with it.
    virtual std::string store_id() const = 0;
    virtual Origin origin() const = 0;
    virtual std::uint64_t revision() const = 0;

    virtual Result<TxnResult> txn(const Txn& txn) = 0;
    virtual Result<std::optional<Item>> get(std::string_view table, std::string_view key) = 0;
    virtual Result<Range> range(std::string_view table, std::string_view prefix) = 0;

    // Delivers every commit with a revision of at least `from` that changed a key below `prefix`: past ones
    // before it returns, later ones as they happen.
    virtual Result<WatchStart> watch(std::string_view table, std::string_view prefix, std::uint64_t from,
                                     WatchCallback callback) = 0;
    // After it returns the callback is not called again.
    virtual void unwatch(std::uint64_t id) = 0;

    // Gives a step's worth of the file's free space back to the disk. True: there is more to give back.
    virtual Result<bool> shrink() = 0;

    // What follows is the store's part of a standby root and of backups, which are not in this version
    // (docs/out-of-scope.md): tests alone call it.

    // Forgets the history up to and including `revision`.
    virtual Result<void> compact(std::uint64_t revision) = 0;

    // Leases count on a clock that runs during suspend. Keepalives stay in memory; after the store is opened
    // every lease has its whole time again before it is judged.
    virtual Result<std::uint64_t> lease_grant(std::chrono::milliseconds time) = 0;
    virtual Result<void> lease_keepalive(std::uint64_t lease) = 0;
    // Deletes every key attached to it, in one transaction.
    virtual Result<void> lease_revoke(std::uint64_t lease) = 0;
    // Revokes what has run out and returns those leases. The store has no timers: its user calls this.
    virtual Result<std::vector<std::uint64_t>> lease_expire() = 0;

    // A whole and consistent copy in a new file (mode 0600), which must not exist.
    virtual Result<void> copy_to(const std::string& file) = 0;
};

} // namespace p2prc::store
