#include "net/notify.h"

#include "net/asio.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <systemd/sd-daemon.h>

#include <string>

namespace p2prc::net {

void notify_ready(std::string_view status) {
    std::string text = "READY=1";
    if (!status.empty()) text.append("\nSTATUS=").append(status);
    sd_notify(0, text.c_str());
}

void notify_status(std::string_view status) {
    sd_notify(0, ("STATUS=" + std::string(status)).c_str());
}

void notify_stopping() {
    sd_notify(0, "STOPPING=1");
}

std::optional<std::chrono::microseconds> watchdog_timeout() {
    std::uint64_t microseconds = 0;
    if (sd_watchdog_enabled(0, &microseconds) <= 0) return {};
    return std::chrono::microseconds(microseconds);
}

boost::asio::awaitable<void> keep_watchdog() {
    const auto timeout = watchdog_timeout();
    if (!timeout) co_return;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (true) {
        sd_notify(0, "WATCHDOG=1");
        timer.expires_after(*timeout / 2);
        const auto [error] = co_await timer.async_wait(as_result);
        if (error) co_return;
    }
}

} // namespace p2prc::net
