// The interface to systemd, over D-Bus.
#pragma once

#include "process/systemd.h"

#include <chrono>
#include <filesystem>
#include <memory>

namespace p2prc::dbus {
class Bus;
}

namespace p2prc::process {

class SystemdBus : public Systemd {
  public:
    // `bus` must outlive it. `drop_ins` is where drop-ins of units at run time go.
    explicit SystemdBus(dbus::Bus& bus, std::filesystem::path drop_ins = "/run/systemd/system",
                        std::chrono::milliseconds timeout = job_timeout);
    ~SystemdBus() override;

    // Installs the matches and subscribes. Events come from here on to whom on_events names.
    boost::asio::awaitable<Result<void>> connect();

    // What tells one boot of this machine from another. The kernel's boot id is not enough: a container has
    // its host's, whatever a service sees of it in its sandbox.
    boost::asio::awaitable<Result<std::string>> boot_identity();

    void on_events(SystemdEvents events) override;
    // Drop-ins that belong to no unit are removed by the way.
    boost::asio::awaitable<Result<std::vector<UnitView>>> units() override;
    boost::asio::awaitable<Result<std::string>> start_transient(std::string unit, TransientUnit content,
                                                                JobShare share) override;
    boost::asio::awaitable<Result<std::string>> stop(std::string unit, JobShare share) override;
    boost::asio::awaitable<Result<void>> set_properties(std::string unit,
                                                        std::vector<UnitProperty> properties) override;
    boost::asio::awaitable<Result<void>> freeze(std::string unit) override;
    boost::asio::awaitable<Result<void>> thaw(std::string unit) override;
    boost::asio::awaitable<Result<void>> reset_failed(std::string unit) override;
    boost::asio::awaitable<Result<UnitView>> view_of(std::string unit) override;
    boost::asio::awaitable<Result<std::string>> system_state() override;
    boost::asio::awaitable<Result<std::string>> features() override;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

} // namespace p2prc::process
