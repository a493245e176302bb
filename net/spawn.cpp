#include "net/spawn.h"

#include "net/asio.h"
#include "net/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>

namespace p2prc::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> keep_running(std::string what, std::function<asio::awaitable<void>()> loop) {
    const auto executor = co_await asio::this_coro::executor;
    auto pause = 1s;
    while (true) {
        const auto began = std::chrono::steady_clock::now();
        std::exception_ptr failure;
        try {
            co_await loop();
            co_return;
        } catch (...) {
            // co_await is not allowed in a handler ([expr.await]); the pause comes after it.
            failure = std::current_exception();
        }
        const auto why = text_of(failure);
        if (why.empty()) co_return;
        if (std::chrono::steady_clock::now() - began > 10min) pause = 1s;
        log_error(what + " failed and restarts in " + std::to_string(pause.count()) + " s: " + why,
                  {{"FLEET_HINT", "this is a bug in p2prc; please report it with this line"}});
        asio::steady_timer timer(executor, pause);
        pause = std::min(pause * 2, std::chrono::seconds(60));
        const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
    }
}

} // namespace

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted ? std::string() : error.what();
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "an exception of an unknown type";
    }
}

void ReportFailure::operator()(std::exception_ptr failure) const noexcept {
    if (!failure) return;
    try {
        if (const auto why = text_of(failure); !why.empty())
            log_error(what_ + " failed: " + why,
                      {{"FLEET_HINT", "this is a bug in p2prc; please report it with this line"}});
    } catch (...) {
        // Out of memory while saying so: there is nothing left to say it with.
    }
}

void spawn_loop(asio::any_io_executor executor, std::string what,
                std::function<asio::awaitable<void>()> loop) {
    auto report = ReportFailure(what);
    asio::co_spawn(executor, keep_running(std::move(what), std::move(loop)), std::move(report));
}

} // namespace p2prc::net
