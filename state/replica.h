// This node's copy of the fleet's agreed state and of what the other nodes report: read-only, fed by a watch.
#pragma once

#include "core/error.h"
#include "state/state.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace p2prc::state {

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
    // `disk` writes behind, in the order of the changes and of all else that is posted there. After a power
    // cut the last ones may be missing, and the feed brings them again; but none of agreed state that was on
    // disk before something else was that came after it.
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

    // When it returns, all agreed state that was applied before it was called is on disk: wait for it before
    // something that the registry has agreed to is acknowledged here. After a failure of the disk memory goes
    // on; the file keeps what it had, until all of it can be written.
    boost::asio::awaitable<Result<void>> flush();

  private:
    struct Shelf;
    explicit Replica(std::unique_ptr<Shelf> shelf);

    std::unique_ptr<Shelf> shelf_;
    std::string store_id_;
    std::weak_ptr<AnotherStore> another_store_;
};

} // namespace p2prc::state
