// A place for one coroutine to wait at until something happens.
#pragma once

#include "net/asio.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <utility>

namespace p2prc::net {

class Event {
  public:
    explicit Event(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    // Wakes the waiter; without one, the next waiter returns at once.
    void set() {
        set_ = true;
        timer_.cancel();
    }

    // Returns false if `time` passed without it being set.
    boost::asio::awaitable<bool> wait(std::chrono::milliseconds time = std::chrono::hours(24 * 365)) {
        if (!set_) {
            timer_.expires_after(time);
            co_await timer_.async_wait(as_result);
        }
        co_return std::exchange(set_, false);
    }

  private:
    boost::asio::steady_timer timer_;
    bool set_ = false;
};

} // namespace p2prc::net
