// What a service tells systemd about itself: ready, status, stopping, alive (sd_notify(3)).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string_view>

namespace p2prc::net {

// These do nothing if the program is not a service of type notify.
void notify_ready(std::string_view status = {});
void notify_status(std::string_view status);
void notify_stopping();

// WatchdogSec= of this service's unit, if it has one.
std::optional<std::chrono::microseconds> watchdog_timeout();

// Sends keep-alives at half of the watchdog's interval as long as the loop runs; returns at once without a
// watchdog. Spawn it on the program's loop.
boost::asio::awaitable<void> keep_watchdog();

} // namespace p2prc::net
