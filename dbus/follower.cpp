#include "dbus/follower.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include <chrono>

namespace p2prc::dbus {

namespace asio = boost::asio;

namespace {

constexpr auto token = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds retry_after{2};
constexpr std::chrono::seconds report_every{30};

} // namespace

struct Follower::State {
    State(asio::any_io_executor executor_, FollowerOptions options_)
        : executor(std::move(executor_))
        , options(std::move(options_))
        , wake(executor) {}

    void failed(const std::string& what, const Error& error) {
        auto text = what + ": " + error.message;
        if (text == last_failure) return;
        last_failure = text;
        options.warn({error.code, std::move(text), error.hint});
    }

    Result<std::shared_ptr<Connection>> connect() {
        auto bus = options.bus_address.empty() ? Bus::open_system(executor)
                                               : Bus::open_address(executor, options.bus_address);
        if (!bus) return std::unexpected(bus.error());
        auto made = std::make_shared<Connection>();
        made->bus = std::move(*bus);
        made->client = options.open(*made->bus);
        return made;
    }

    asio::awaitable<bool> fetch(std::shared_ptr<Connection> held) {
        auto feed = co_await held->client->get();
        if (!feed) {
            failed("cannot get the " + options.what, feed.error());
            co_return false;
        }
        if (const auto applied = options.apply(std::move(*feed)); !applied) {
            failed("cannot read the " + options.what + " of p2prcd", applied.error());
            co_return false;
        }
        last_failure.clear();
        co_return true;
    }

    asio::awaitable<void> follow(std::shared_ptr<Connection> held) {
        bool registered = false;
        bool newer = true;
        held->bus->on_disconnect([this, weak = std::weak_ptr(held)](const Error&) {
            if (const auto locked = weak.lock()) locked->gone = true;
            wake.cancel();
        });
        const auto watch = held->client->watch([&, this](std::uint64_t revision) {
            newer = again = true;
            if (revision == 0) registered = false;
            wake.cancel();
        });
        if (!watch) failed("cannot watch p2prcd", watch.error());
        while (!held->gone) {
            again = false;
            if (!registered) {
                next_report = {};
                const auto done = co_await held->client->register_key(options.fingerprint);
                registered = done.has_value();
                if (!done) {
                    failed("cannot register with p2prcd", done.error());
                    if (options.refused) options.refused(done.error());
                } else if (options.registered) {
                    options.registered();
                }
            }
            if (newer && registered) {
                newer = false;
                if (!co_await fetch(held)) newer = true;
            }
            const auto now = std::chrono::steady_clock::now();
            if (registered && now >= next_report) {
                next_report = now + report_every;
                auto status = options.status();
                co_await held->client->report_status(std::move(status));
            }
            if (held->gone) break;
            if (again) continue;
            wake.expires_after(registered && !newer ? report_every : retry_after);
            co_await wake.async_wait(token);
        }
    }

    // Until the connection ends.
    asio::awaitable<void> serve() {
        auto opened = connect();
        if (!opened) {
            failed("cannot reach the system bus", opened.error());
            co_return;
        }
        connection = *opened;
        co_await follow(*opened);
        connection.reset();
    }

    asio::any_io_executor executor;
    FollowerOptions options;
    asio::steady_timer wake;
    std::shared_ptr<Connection> connection;
    std::string last_failure;
    std::chrono::steady_clock::time_point next_report; // initially in the past: now
    // Something arrived during a call, when there was no wait to cancel.
    bool again = false;
    bool left = false;
};

Follower::Follower(asio::any_io_executor executor, FollowerOptions options)
    : state_(std::make_unique<State>(std::move(executor), std::move(options))) {}

Follower::~Follower() = default;

asio::awaitable<void> Follower::run() {
    while (!state_->left) {
        co_await state_->serve();
        if (state_->left) co_return;
        state_->wake.expires_after(retry_after);
        co_await state_->wake.async_wait(token);
    }
}

void Follower::leave() {
    state_->left = true;
    if (const auto held = std::exchange(state_->connection, nullptr)) {
        held->gone = true;
        held->bus.reset();
    }
    state_->wake.cancel();
}

void Follower::report() {
    state_->next_report = {};
    state_->again = true;
    state_->wake.cancel();
}

void Follower::failed(const std::string& what, const Error& error) {
    state_->failed(what, error);
}

std::shared_ptr<Follower::Connection> Follower::connection() const {
    return state_->connection;
}

} // namespace p2prc::dbus
