// Programs of the machine's administrator that tell people what became of a process, such as by mail.
#pragma once

#include "process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

struct NotifierOptions {
    std::filesystem::path directory = "/etc/p2prc/notify.d";
    std::uint32_t owner = 0; // of the directory and the programs
    // After which a unit has ended in any case, and is let go of.
    std::chrono::milliseconds release_after{70'000};
};

class Notifiers {
  public:
    using Warn = std::function<void(std::string_view message, std::string_view process)>;

    // All of them must outlive it.
    Notifiers(boost::asio::any_io_executor loop, Systemd& systemd, const NotifierOptions& options, Warn warn);
    ~Notifiers();
    Notifiers(const Notifiers&) = delete;
    Notifiers& operator=(const Notifiers&) = delete;

    // Starts each program with `notice` as its standard input, and does not wait for its end. What must not
    // be run, as somebody else could change it, is left out, and said. Whoever says the same `mark` again,
    // such as a p2prcd that was ended before it could write down that it had told, starts none that was
    // started: their units stay until release(). Unreachable: systemd cannot be asked; say it again.
    boost::asio::awaitable<Result<void>> tell(std::string process, std::string mark, nlohmann::json notice);
    // It is written down that this was told: lets go of the units once they have ended.
    void release(std::string process, std::string mark);

  private:
    std::vector<std::string> programs(std::string_view process) const;
    boost::asio::awaitable<void> let_go(std::string process, std::string mark);

    boost::asio::any_io_executor loop_;
    Systemd& systemd_;
    const NotifierOptions& options_;
    Warn warn_;
    std::set<std::shared_ptr<boost::asio::steady_timer>> releases_;
};

std::string notifier_unit_name(std::string_view process, std::string_view program, std::string_view mark);
// A unit that runs it: a user of its own that may write nowhere, for a minute at most.
std::vector<UnitProperty> notifier_unit(std::string_view process, const std::filesystem::path& program);

} // namespace p2prc::process
