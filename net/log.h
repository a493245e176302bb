// Structured log lines: to the journal where the program runs as a unit, to standard error otherwise.
//
// Library code returns errors and does not log; programs log once, at the edge, with what to do.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace p2prc::net {

// Priorities of syslog(3).
enum class LogLevel { Error = 3, Warning = 4, Notice = 5, Info = 6, Debug = 7 };

// Journal fields of ours start with FLEET_ (catalog texts cannot expand names with digits).
using LogFields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

void set_log_level(LogLevel level) noexcept;
LogLevel log_level() noexcept;
void log(LogLevel level, std::string_view message, LogFields fields = {});

inline void log_error(std::string_view message, LogFields fields = {}) {
    log(LogLevel::Error, message, fields);
}
inline void log_warning(std::string_view message, LogFields fields = {}) {
    log(LogLevel::Warning, message, fields);
}
inline void log_notice(std::string_view message, LogFields fields = {}) {
    log(LogLevel::Notice, message, fields);
}
inline void log_info(std::string_view message, LogFields fields = {}) {
    log(LogLevel::Info, message, fields);
}
inline void log_debug(std::string_view message, LogFields fields = {}) {
    log(LogLevel::Debug, message, fields);
}

} // namespace p2prc::net
