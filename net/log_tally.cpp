#include "net/log_tally.h"

#include "net/log.h"

namespace p2prc::net {

std::optional<std::string> LogTally::line(std::string_view detail, std::chrono::nanoseconds now) {
    ++since_;
    if (written_ && now - *written_ < interval_) return {};
    written_ = now;
    const auto count = std::exchange(since_, 0);
    return what_ + ": " + std::to_string(count) + " since the last such line, the latest " +
           std::string(detail);
}

void LogTally::note(std::string_view detail, std::chrono::nanoseconds now) {
    if (const auto text = line(detail, now)) log_info(*text);
}

} // namespace p2prc::net
