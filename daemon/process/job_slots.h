// Limits the jobs that are queued with systemd at the same time, and decides who waits for whom.
#pragma once

#include "daemon/process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace p2prc::daemon {

// `count` jobs at once, and `each` of one maker. Who waits goes in turn, but for those whose maker holds its
// share. One thread only.
class JobSlots {
  public:
    JobSlots(boost::asio::any_io_executor executor, std::size_t count, std::size_t each)
        : executor_(std::move(executor))
        , count_(count)
        , each_(each) {}

    // Holds one slot until it is destroyed.
    class Holder {
      public:
        Holder(JobSlots& slots, std::string maker) : slots_(&slots), maker_(std::move(maker)) {}
        Holder(Holder&& other) noexcept
            : slots_(std::exchange(other.slots_, nullptr))
            , maker_(std::move(other.maker_)) {}
        Holder& operator=(Holder&&) = delete;
        ~Holder() {
            if (slots_) slots_->release(maker_);
        }

      private:
        JobSlots* slots_;
        std::string maker_;
    };

    boost::asio::awaitable<Holder> acquire(std::string maker);

  private:
    struct Turn {
        std::string maker;
        std::shared_ptr<boost::asio::steady_timer> timer;
    };

    bool has_room(const std::string& maker) const;
    void take(const std::string& maker);
    void release(const std::string& maker);

    boost::asio::any_io_executor executor_;
    std::size_t count_;
    std::size_t each_;
    std::size_t taken_ = 0;
    std::map<std::string, std::size_t> held_; // by maker
    std::deque<Turn> waiting_;
};

// PID 1 adds a match rule for each outstanding job that was asked for over the bus; past 512 dbus-daemon
// refuses and sd-bus closes PID 1's own connection (systemd 252). All queues together are kept below half of
// that. A stop takes as long as the process takes to end; a start is over when its command is executed.
class JobQueues {
  public:
    explicit JobQueues(const boost::asio::any_io_executor& executor);

    JobSlots& starts(JobShare::Kind kind);
    JobSlots& stops(JobShare::Kind kind);

  private:
    JobSlots own_, certificates_;
    JobSlots local_starts_, local_stops_;
    JobSlots remote_starts_, remote_stops_;
};

} // namespace p2prc::daemon
