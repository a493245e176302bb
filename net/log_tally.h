// Log lines about events that strangers can cause at any rate: counted, and written once a minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::net {

class LogTally {
  public:
    // `what` is in the plural: "control links whose handshake failed".
    explicit LogTally(std::string what, std::chrono::nanoseconds interval = std::chrono::minutes(1))
        : what_(std::move(what))
        , interval_(interval) {}

    // One more of it; `detail` says which. The first after an interval is written, with the number of those
    // since the last line. `now` is a time that only goes forward.
    void note(std::string_view detail, std::chrono::nanoseconds now);
    // The line that note() would write, or nothing.
    std::optional<std::string> line(std::string_view detail, std::chrono::nanoseconds now);

  private:
    std::string what_;
    std::chrono::nanoseconds interval_;
    std::optional<std::chrono::nanoseconds> written_;
    std::uint64_t since_ = 0;
};

} // namespace p2prc::net
