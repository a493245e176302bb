// Wakes a program when this machine's links, addresses or routes change.
#pragma once

#include "core/error.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>

namespace p2prc::net {

// A netlink socket (rtnetlink(7)); needs AF_NETLINK among the allowed address families, and no capability.
class NetworkChanges {
  public:
    static Result<NetworkChanges> open(boost::asio::any_io_executor executor);
    NetworkChanges(NetworkChanges&&) noexcept;
    NetworkChanges& operator=(NetworkChanges&&) noexcept;
    ~NetworkChanges();

    // Returns after a change; changes that come within 100 ms of each other are one. An error only when the
    // socket breaks or is closed.
    boost::asio::awaitable<Result<void>> next();
    // Cancels next(), even if others share this object.
    void close() noexcept;

  private:
    struct State;
    explicit NetworkChanges(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace p2prc::net
