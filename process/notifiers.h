// Programs of the machine's administrator that tell people what became of a process, such as by mail.
#pragma once

#include "process/systemd.h"

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

struct NotifierOptions {
    std::filesystem::path directory = "/etc/p2prc/notify.d";
    std::uint32_t owner = 0; // of the directory and the programs
};

class Notifiers {
  public:
    using Warn = std::function<void(std::string_view message, std::string_view process)>;

    // All of them must outlive it.
    Notifiers(Systemd& systemd, const NotifierOptions& options, Warn warn);

    // Starts each program with `notice` as its standard input, and does not wait for its end. What must not
    // be run, as somebody else could change it, is left out, and said.
    boost::asio::awaitable<void> tell(std::string process, nlohmann::json notice);

  private:
    std::vector<std::string> programs(std::string_view process) const;

    Systemd& systemd_;
    const NotifierOptions& options_;
    Warn warn_;
    std::uint64_t last_ = 0; // two of one program for one process may run at once
};

// A unit that runs it: a user of its own that may write nowhere, for a minute at most.
std::vector<UnitProperty> notifier_unit(std::string_view process, const std::filesystem::path& program);

} // namespace p2prc::process
