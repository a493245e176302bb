// The units of p2prc on this machine that the fleet starts and stops: those of edge and connector.
#pragma once

#include "core/error.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace p2prc::dbus {
class Bus;
}

namespace p2prc::daemon {

class UnitControl {
  public:
    virtual ~UnitControl() = default;
    // Whether a unit file of that name is installed.
    virtual boost::asio::awaitable<Result<bool>> installed(std::string unit) = 0;
    // Whether it runs, or is being started.
    virtual boost::asio::awaitable<bool> active(std::string unit) = 0;
    // Starts them, one after the other, and waits until they run. An error names the one that does not, and
    // leaves the others as they are.
    virtual boost::asio::awaitable<Result<void>> start(std::vector<std::string> units) = 0;
    virtual boost::asio::awaitable<Result<void>> stop(std::vector<std::string> units) = 0;
};

class SystemdUnits : public UnitControl {
  public:
    // The system bus; outlives this.
    explicit SystemdUnits(dbus::Bus& bus) : bus_(bus) {}
    boost::asio::awaitable<Result<bool>> installed(std::string unit) override;
    boost::asio::awaitable<bool> active(std::string unit) override;
    boost::asio::awaitable<Result<void>> start(std::vector<std::string> units) override;
    boost::asio::awaitable<Result<void>> stop(std::vector<std::string> units) override;

  private:
    boost::asio::awaitable<Result<void>> start_one(std::string unit);

    dbus::Bus& bus_;
};

} // namespace p2prc::daemon
