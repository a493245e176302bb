// Starts coroutines that nobody waits for, so that an exception in one is reported and ends only that one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <exception>
#include <functional>
#include <string>

namespace p2prc::net {

// What an exception says; empty: it says that an operation was cancelled, as all are when the program ends.
std::string text_of(const std::exception_ptr& failure);

// The completion handler of a coroutine that does one thing and ends, instead of asio::detached, which drops
// the exception: says at priority "error" that `what` failed, and why. `what` is a noun: "a control link".
// An operation that was cancelled is no failure.
class ReportFailure {
  public:
    explicit ReportFailure(std::string what) : what_(std::move(what)) {}
    void operator()(std::exception_ptr failure) const noexcept;

  private:
    std::string what_;
};

// Runs a loop for as long as the program runs: each call of `loop` starts a run. If a run ends by an
// exception, this reports it and starts another one after a second, then two, at most a minute. If a run
// returns, it was told to stop, and this stops too. The loop's data must be consistent at each of its
// suspension points.
void spawn_loop(boost::asio::any_io_executor executor, std::string what,
                std::function<boost::asio::awaitable<void>()> loop);

} // namespace p2prc::net
