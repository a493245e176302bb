// A place for one coroutine to wait at until something happens.
#pragma once

#include "net/asio.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <utility>

namespace p2prc::daemon {

class Bell {
  public:
    explicit Bell(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    // Wakes the waiter; without one, the next waiter returns at once.
    void ring() {
        rung_ = true;
        timer_.cancel();
    }

    // Returns false if `time` passed without a ring.
    boost::asio::awaitable<bool> wait(std::chrono::milliseconds time = std::chrono::hours(24 * 365)) {
        if (!rung_) {
            timer_.expires_after(time);
            co_await timer_.async_wait(net::as_result);
        }
        co_return std::exchange(rung_, false);
    }

  private:
    boost::asio::steady_timer timer_;
    bool rung_ = false;
};

} // namespace p2prc::daemon
