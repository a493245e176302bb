// A real dbus-daemon of the test's own, on a socket in a directory of its own, and a loop to run against it.
#pragma once

#include "dbus/bus.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace p2prc::test {

class PrivateBus {
  public:
    // `policy`: the <policy> elements and includes of its configuration; by default everybody may do
    // everything.
    explicit PrivateBus(const std::string& policy = {});
    ~PrivateBus();
    PrivateBus(const PrivateBus&) = delete;
    PrivateBus& operator=(const PrivateBus&) = delete;

    const std::string& address() const { return address_; }
    // Ends the daemon at once, as a crash would.
    void kill();
    // While it is paused the daemon reads nothing.
    void pause();
    void resume();

    std::unique_ptr<dbus::Bus> connect();
    // What busctl prints for `arguments` as another user, "exit STATUS" last, while the loop runs. Needs
    // root.
    std::string run_as(const std::string& user, const std::string& arguments);
    // Runs the loop until `work` is done, and returns its result; the test fails after ten seconds.
    template <class T>
    T run(boost::asio::awaitable<T> work);

    boost::asio::io_context io;

  private:
    std::string directory_;
    std::string address_;
    pid_t pid_ = 0;
};

inline boost::asio::awaitable<void> sleep_for(std::chrono::milliseconds time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
}

template <class T>
T PrivateBus::run(boost::asio::awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr exception, T value) {
        failure = exception;
        result = std::move(value);
    });
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::minutes(1); // with a sanitizer, on a busy machine
    io.restart();
    while (!result && std::chrono::steady_clock::now() < deadline)
        io.run_one_for(std::chrono::milliseconds(200));
    if (failure) std::rethrow_exception(failure);
    if (!result) throw std::runtime_error("the work did not end in time");
    return std::move(*result);
}

} // namespace p2prc::test
