// Starting coroutines that nobody waits for, so that an exception in one is heard of and ends nothing but it.
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

// Runs a loop that is to go on for as long as the program does: `loop` returns a new run of it. A run that
// ends by an exception is reported, and followed by another one after a second, then two, at most a minute;
// a run that returns was told to, and ends it. What the loop works on must be in order at each of its
// suspension points.
void spawn_loop(boost::asio::any_io_executor executor, std::string what,
                std::function<boost::asio::awaitable<void>()> loop);

} // namespace p2prc::net
