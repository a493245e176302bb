// A bus connection for a program that waits for each answer, such as the command line: runs the loop until
// done.
#pragma once

#include "dbus/bus.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>

namespace p2prc::dbus {

class Session {
  public:
    // The system bus (DBUS_SYSTEM_BUS_ADDRESS names another one).
    static Result<std::unique_ptr<Session>> open() {
        auto session = std::unique_ptr<Session>(new Session);
        auto bus = Bus::open_system(session->io_.get_executor());
        if (!bus) return std::unexpected(bus.error());
        session->bus_ = std::move(*bus);
        return session;
    }

    Bus& bus() { return *bus_; }

    // Runs the loop until `work` is done. Not from within the loop. When it has not been for `patience`,
    // `impatient` is called, once.
    template <class T>
    Result<T> run(boost::asio::awaitable<Result<T>> work, const std::function<void()>& impatient = {},
                  std::chrono::steady_clock::duration patience = std::chrono::seconds(2)) {
        boost::asio::steady_timer timer(io_, patience);
        if (impatient)
            timer.async_wait([&impatient](boost::system::error_code error) {
                if (!error) impatient();
            });
        std::optional<Result<T>> result;
        std::exception_ptr failure;
        boost::asio::co_spawn(io_, std::move(work), [&](std::exception_ptr exception, Result<T> value) {
            failure = exception;
            result = std::move(value);
        });
        io_.restart();
        while (!result && io_.run_one() > 0) {
        }
        timer.cancel();
        io_.poll(); // what the timer called goes with it
        if (failure) std::rethrow_exception(failure);
        if (!result) return fail(ErrorCode::Unreachable, "the connection to the message bus ended");
        return std::move(*result);
    }

  private:
    Session() = default;
    boost::asio::io_context io_;
    std::unique_ptr<Bus> bus_;
};

} // namespace p2prc::dbus
