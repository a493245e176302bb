#include "edge/routes/fleet.h"

#include "core/text.h"
#include "dbus/bus.h"
#include "dbus/client.h"
#include "net/file.h"
#include "net/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ranges>

namespace p2prc::edge {
namespace {

constexpr auto token = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr std::chrono::seconds retry_after{2};
constexpr std::chrono::seconds report_every{30};
// Bounded, so that whoever can fill the table cannot fill the journal.
constexpr std::size_t most_lines = 10;

} // namespace

struct FleetRoutes::State {
    State(boost::asio::any_io_executor an_executor, FleetRoutesOptions some_options)
        : executor(std::move(an_executor))
        , options(std::move(some_options))
        , wake(executor) {}

    // Logs each failure once, not at each attempt.
    void failed(const std::string& what, const Error& error) {
        const auto text = what + ": " + error.message;
        if (text == last_failure) return;
        last_failure = text;
        net::log_warning(text, {{"FLEET_HINT", error.hint}});
    }

    // Logs what is left out only when it changes.
    void apply(const RouteTable& table) {
        auto rejected = options.apply(table);
        last_failure.clear();
        if (rejected == left_out) return;
        left_out = std::move(rejected);
        for (const Rejection& each : left_out | std::views::take(most_lines))
            net::log_warning(
                fmt::format("'{}' is not served: {}", each.name, text::excerpt(each.reason, 300)));
        if (left_out.size() > most_lines)
            net::log_warning(fmt::format("{} more are not served", left_out.size() - most_lines));
    }

    // Writing syncs the disk, which must not hold up connections.
    void save(std::string text) {
        boost::asio::post(writer, [file = options.cache_file, text = std::move(text)] {
            if (const auto written = net::write_file_atomically(file, text); !written)
                net::log_warning("cannot save the routes for the next start: " + written.error().message);
        });
    }

    boost::asio::awaitable<bool> fetch(dbus::EdgeClient& client) {
        auto feed = co_await client.routes();
        if (!feed) {
            failed("cannot get routes", feed.error());
            co_return false;
        }
        auto table = route_table_from_json(feed->document);
        if (!table) {
            failed("cannot read the routes of p2prcd", table.error());
            co_return false;
        }
        // It is sent beside the table.
        table->revision = feed->revision;
        apply(*table);
        save(to_json(*table).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        co_return true;
    }

    boost::asio::awaitable<void> follow(dbus::Bus& bus) {
        dbus::EdgeClient client(bus);
        bool gone = false, registered = false, newer = true;
        // Something arrived during a call, when there was no wait to cancel.
        bool again = false;
        bus.on_disconnect([&](const Error&) {
            gone = true;
            wake.cancel();
        });
        const auto watch = client.watch([&](std::uint64_t revision) {
            newer = again = true;
            if (revision == 0) registered = false;
            wake.cancel();
        });
        if (!watch) failed("cannot watch p2prcd", watch.error());
        std::chrono::steady_clock::time_point next_report; // initially in the past: now
        while (!gone) {
            again = false;
            if (!registered) {
                next_report = {};
                const auto done = co_await client.register_key(options.fingerprint);
                registered = done.has_value();
                if (!done) failed("cannot register with p2prcd", done.error());
            }
            if (newer && registered) {
                newer = false;
                if (co_await fetch(client))
                    next_report = {}; // what is served now, and what of it is not
                else
                    newer = true;
            }
            const auto now = std::chrono::steady_clock::now();
            if (registered && now >= next_report) {
                next_report = now + report_every;
                auto status = options.status();
                co_await client.report_status(std::move(status));
            }
            if (gone) break;
            if (again) continue;
            const bool settled = registered && !newer;
            wake.expires_after(settled ? report_every : retry_after);
            co_await wake.async_wait(token);
        }
    }

    boost::asio::any_io_executor executor;
    FleetRoutesOptions options;
    boost::asio::steady_timer wake;
    std::string last_failure;
    std::vector<Rejection> left_out;
    boost::asio::thread_pool writer{1}; // last, so that it is joined before the rest is destroyed
};

FleetRoutes::FleetRoutes(boost::asio::any_io_executor executor, FleetRoutesOptions options)
    : state_(std::make_unique<State>(std::move(executor), std::move(options))) {}

FleetRoutes::~FleetRoutes() = default;

void FleetRoutes::load_cache() {
    const auto text = net::read_file(state_->options.cache_file);
    if (!text) return;
    const auto document = nlohmann::json::parse(*text, nullptr, false);
    const auto table = route_table_from_json(document);
    if (!table) {
        state_->failed(state_->options.cache_file + " cannot be read", table.error());
        return;
    }
    state_->apply(*table);
    net::log_info(fmt::format("serving {} routes from the last run", table->routes.size()));
}

boost::asio::awaitable<void> FleetRoutes::run() {
    for (;;) {
        auto bus = state_->options.bus_address.empty()
                       ? dbus::Bus::open_system(state_->executor)
                       : dbus::Bus::open_address(state_->executor, state_->options.bus_address);
        if (bus)
            co_await state_->follow(**bus);
        else
            state_->failed("cannot reach the system bus", bus.error());
        state_->wake.expires_after(retry_after);
        co_await state_->wake.async_wait(token);
    }
}

} // namespace p2prc::edge
