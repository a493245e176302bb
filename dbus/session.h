// A bus connection for a program that waits for each answer, such as the command line: runs the loop until
// done.
#pragma once

#include "dbus/bus.h"
#include "dbus/client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <memory>
#include <optional>

namespace p2prc::dbus {

class Session {
  public:
    // The system bus (DBUS_SYSTEM_BUS_ADDRESS names another one).
    static Result<std::unique_ptr<Session>> open() {
        auto session = std::unique_ptr<Session>(new Session);
        auto bus = Bus::open_system(session->io.get_executor());
        if (!bus) return std::unexpected(bus.error());
        session->bus_ = std::move(*bus);
        session->client_ = std::make_unique<Client>(*session->bus_);
        return session;
    }

    Client& client() { return *client_; }
    Bus& bus() { return *bus_; }

    // For what else the program waits on.
    boost::asio::io_context io;

    // Runs the loop until `work` is done. Not from within the loop.
    template <class T>
    Result<T> run(boost::asio::awaitable<Result<T>> work) {
        std::optional<Result<T>> result;
        std::exception_ptr failure;
        boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr exception, Result<T> value) {
            failure = exception;
            result = std::move(value);
        });
        io.restart();
        while (!result && io.run_one() > 0) {
        }
        if (failure) std::rethrow_exception(failure);
        if (!result) return fail(ErrorCode::Unreachable, "the connection to the message bus ended");
        return std::move(*result);
    }

  private:
    Session() = default;
    std::unique_ptr<Bus> bus_;
    std::unique_ptr<Client> client_;
};

} // namespace p2prc::dbus
