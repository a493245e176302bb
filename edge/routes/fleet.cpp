#include "edge/routes/fleet.h"

#include "core/counted.h"
#include "core/text.h"
#include "dbus/follower.h"
#include "net/file.h"
#include "net/log.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ranges>

namespace p2prc::edge {
namespace {

// Bounded, so that whoever can fill the table cannot fill the journal.
constexpr std::size_t most_lines = 10;

} // namespace

struct FleetRoutes::State {
    State(boost::asio::any_io_executor executor, FleetRoutesOptions some_options)
        : options(std::move(some_options))
        , follower(std::move(executor), follower_options()) {}

    dbus::FollowerOptions follower_options() {
        dbus::FollowerOptions made;
        made.open = [](dbus::Bus& bus) {
            return std::make_unique<dbus::FollowedBy<dbus::EdgeClient, &dbus::EdgeClient::routes>>(bus);
        };
        made.what = "routes";
        made.bus_address = options.bus_address;
        made.fingerprint = options.fingerprint;
        made.apply = [this](dbus::Feed feed) { return take(feed); };
        made.status = options.status;
        made.warn = [](const Error& failure) {
            net::log_warning(failure.message, {{"FLEET_HINT", failure.hint}});
        };
        return made;
    }

    Result<void> take(const dbus::Feed& feed) {
        auto table = route_table_from_json(feed.document);
        if (!table) return std::unexpected(table.error());
        // It is sent beside the table.
        table->revision = feed.revision;
        apply(*table);
        save(to_json(*table).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        follower.report(); // what is served now, and what of it is not
        return {};
    }

    // Logs what is left out only when it changes.
    void apply(const RouteTable& table) {
        auto rejected = options.apply(table);
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

    FleetRoutesOptions options;
    std::vector<Rejection> left_out;
    dbus::Follower follower;
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
        net::log_warning(
            fmt::format("{} cannot be read: {}", state_->options.cache_file, table.error().message));
        return;
    }
    state_->apply(*table);
    net::log_info(
        fmt::format("serving {} from the last run", counted(table->routes.size(), "route", "routes")));
}

boost::asio::awaitable<void> FleetRoutes::run() {
    return state_->follower.run();
}

} // namespace p2prc::edge
