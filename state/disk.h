// The thread on which the daemon waits for the disk, so that its event loop never does.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace p2prc::state {

// Work runs in the order in which it was posted. Made before, and destroyed after, all that uses it;
// destruction finishes what was posted.
class Disk {
  public:
    Disk();
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // Returns the number of this piece of work.
    std::uint64_t post(std::function<void()> work);
    // Of what was posted last.
    std::uint64_t last() const { return posted_; }
    boost::asio::any_io_executor executor() const;

  private:
    struct Pool;
    std::unique_ptr<Pool> pool_;
    std::atomic<std::uint64_t> posted_ = 0;
};

} // namespace p2prc::state
