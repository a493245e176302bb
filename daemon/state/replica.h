// This node's copy of the fleet's agreed state and of what the other nodes report: read-only, fed by a watch.
#pragma once

#include "core/error.h"
#include "daemon/state/state.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

namespace p2prc::daemon {

class Disk;

// Where a feed stands: a revision means something only together with the identity of its store.
struct FeedPosition {
    std::string store_id; // empty: nothing was ever received
    std::uint64_t revision = 0;
    friend bool operator==(const FeedPosition&, const FeedPosition&) = default;
};

class Replica : public State {
  public:
    // `file` is made when missing. A file that cannot be read is moved aside and begun anew: it is a copy.
    // `disk` writes behind, so the last changes may be missing after a crash; the feed brings them again.
    static Result<std::unique_ptr<Replica>> open(std::string file, Disk& disk);
    ~Replica();

    FeedPosition position() const { return {store_id_, revision()}; }
    const std::string& store_id() const { return store_id_; }

    // One or more whole transactions that follow position(). False, and nothing done, when they do not:
    // another store, or a revision that is not after ours; the feeder then asks for everything and calls
    // reset.
    bool apply(const std::string& store_id, std::uint64_t revision, std::vector<Change> changes);
    // Called before a reset brings the state of another store than the one so far, with what it brings; until
    // the subscription ends or another takes its place.
    using AnotherStore = std::function<void(const std::vector<Change>& items)>;
    [[nodiscard]] Subscription on_another_store(AnotherStore callback);
    // The whole state as of `revision`; subscribers are told the differences only.
    void reset(std::string store_id, std::uint64_t revision, std::vector<Change> items);

    // Set once the disk refused a write: from then on the file keeps what it had, and memory goes on.
    std::optional<Error> disk_error() const;

  private:
    struct Shelf;
    explicit Replica(std::unique_ptr<Shelf> shelf);

    std::unique_ptr<Shelf> shelf_;
    std::string store_id_;
    std::weak_ptr<AnotherStore> another_store_;
};

} // namespace p2prc::daemon
