// A timer that is armed at most once at a time, for work to be done once a little later, however often it is
// requested.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace p2prc::net {

// A member of the object that its callbacks work on: once it is destroyed no callback runs any more, not even
// one whose time had come and which Asio had queued already (a destroyed steady_timer alone does not take
// that back).
class OneShotTimer {
  public:
    explicit OneShotTimer(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    // Runs `callback()` once, after `wait`, at least a millisecond; does nothing if it is armed already. The
    // callback may arm it again. A callback that may destroy its owner must keep the owner alive itself.
    template <class Callback>
    void arm(std::chrono::steady_clock::duration wait, Callback callback) {
        if (std::exchange(*armed_, true)) return;
        // Asio arms a timerfd that is due already for an absolute time in the past. libfaketime 0.9 moves
        // that by the wrong clock that it pretends, and no timer of the program fires any more.
        timer_.expires_after(
            std::max<std::chrono::steady_clock::duration>(wait, std::chrono::milliseconds(1)));
        timer_.async_wait([weak = std::weak_ptr(armed_), callback = std::move(callback)](const auto& error) {
            const auto armed = weak.lock();
            if (error || !armed) return;
            *armed = false;
            callback();
        });
    }

    // No callback runs until it is armed again.
    void cancel() {
        armed_ = std::make_shared<bool>(false);
        timer_.cancel();
    }

    bool armed() const noexcept { return *armed_; }

  private:
    boost::asio::steady_timer timer_;
    std::shared_ptr<bool> armed_ = std::make_shared<bool>(false);
};

} // namespace p2prc::net
