// The state that only this node writes: status of its processes, its addresses, certificates, local actions.
#pragma once

#include "core/error.h"
#include "state/state.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace p2prc::state {

class Disk;

class OwnState : public State {
  public:
    // A file that is damaged is set aside (store::set_aside) and begun anew: what runs is found again, and
    // p2prcd is needed for that.
    static Result<std::unique_ptr<OwnState>> open(std::string file, Disk& disk);
    ~OwnState();

    // Takes effect, and is told, at once; it is written to disk behind. A value equal to the present one does
    // nothing. Several in one call are one transaction. It is on disk no sooner than what was posted to the
    // disk before, the replica's changes among it.
    void set(std::string key, Json value);
    void erase(std::string key);
    void update(std::vector<Change> changes); // revisions in `changes` are ignored

    // When it returns, everything set before it was called is on disk: wait for it before a local action is
    // acknowledged. The error is that of the disk.
    boost::asio::awaitable<Result<void>> flush();

  private:
    struct Shelf;
    explicit OwnState(std::unique_ptr<Shelf> shelf);

    std::unique_ptr<Shelf> shelf_;
};

} // namespace p2prc::state
