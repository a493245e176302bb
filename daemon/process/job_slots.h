// A bound on the jobs that are queued with systemd at once.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <memory>

namespace p2prc::daemon {

// PID 1 adds a match rule for each outstanding job that was asked for over the bus; past 512 dbus-daemon
// refuses and sd-bus closes PID 1's own connection (systemd 252). We keep far below. One thread only.
class JobSlots {
  public:
    JobSlots(boost::asio::any_io_executor executor, std::size_t count)
        : executor_(std::move(executor))
        , free_(count) {}

    // Holds one slot until it is destroyed.
    class Holder {
      public:
        explicit Holder(JobSlots& slots) : slots_(&slots) {}
        Holder(Holder&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
        Holder& operator=(Holder&&) = delete;
        ~Holder() {
            if (slots_) slots_->release();
        }

      private:
        JobSlots* slots_;
    };

    boost::asio::awaitable<Holder> acquire();

  private:
    void release();

    boost::asio::any_io_executor executor_;
    std::size_t free_;
    std::deque<std::shared_ptr<boost::asio::steady_timer>> waiting_;
};

} // namespace p2prc::daemon
