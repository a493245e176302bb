#include "connector/fleet.h"

#include "dbus/bus.h"
#include "dbus/client.h"
#include "net/asio.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::seconds retry_after{2};
constexpr std::chrono::seconds report_every{30};

// A connection to the bus, shared: calls in progress keep it open.
struct BusLink {
    std::unique_ptr<dbus::Bus> bus;
    std::unique_ptr<dbus::ConnectorClient> client;
    bool gone = false;
};

} // namespace

struct Fleet::State {
    State(asio::any_io_executor executor_, FleetOptions options_)
        : executor(std::move(executor_))
        , options(std::move(options_))
        , wake(executor) {}

    // Logs each failure once, not at each attempt.
    void failed(const std::string& what, const Error& error) {
        const std::string text = what + ": " + error.message;
        if (text == last_failure) return;
        last_failure = text;
        net::log_warning(text, {{"FLEET_HINT", error.hint}});
    }

    asio::awaitable<bool> fetch(std::shared_ptr<BusLink> held) {
        const Result<dbus::Feed> feed = co_await held->client->mappings();
        if (!feed) {
            failed("cannot get the mappings", feed.error());
            co_return false;
        }
        const Result<MappingTable> table = mapping_table_from_json(feed->document);
        if (!table) {
            failed("cannot read the mappings of p2prcd", table.error());
            co_return false;
        }
        last_failure.clear();
        options.apply(*table);
        co_return true;
    }

    asio::awaitable<void> follow(std::shared_ptr<BusLink> held) {
        bool registered = false;
        bool newer = true;
        held->bus->on_disconnect([this, held_weak = std::weak_ptr(held)](const Error&) {
            if (const auto strong = held_weak.lock()) strong->gone = true;
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
                const Result<void> done = co_await held->client->register_key(options.fingerprint);
                registered = done.has_value();
                if (done)
                    options.connected();
                else
                    failed("cannot register with p2prcd", done.error());
            }
            if (newer && registered) {
                newer = false;
                if (!co_await fetch(held)) newer = true;
            }
            const auto now = std::chrono::steady_clock::now();
            if (registered && now >= next_report) {
                next_report = now + report_every;
                nlohmann::json status = options.status();
                co_await held->client->report_status(std::move(status));
            }
            if (held->gone) break;
            if (again) continue;
            wake.expires_after(registered && !newer ? report_every : retry_after);
            co_await wake.async_wait(net::as_result);
        }
    }

    // The bus keeps the order of these calls. p2prcd rightly refuses a report on a domain that was just
    // unmapped.
    static asio::awaitable<void> tell_serving(std::shared_ptr<BusLink> held, std::string domain,
                                              std::string state, std::string reason) {
        (void)co_await held->client->report_serving(domain, state, reason);
    }

    asio::any_io_executor executor;
    FleetOptions options;
    asio::steady_timer wake;
    std::shared_ptr<BusLink> link; // null while not connected
    std::string last_failure;
    std::chrono::steady_clock::time_point next_report; // initially in the past: now
    // Something arrived during a call, when there was no wait to cancel.
    bool again = false;
    bool left = false;
};

Fleet::Fleet(asio::any_io_executor executor, FleetOptions options)
    : state_(std::make_unique<State>(std::move(executor), std::move(options))) {}

Fleet::~Fleet() = default;

asio::awaitable<void> Fleet::run() {
    while (!state_->left) {
        Result<std::unique_ptr<dbus::Bus>> bus =
            state_->options.bus_address.empty()
                ? dbus::Bus::open_system(state_->executor)
                : dbus::Bus::open_address(state_->executor, state_->options.bus_address);
        if (bus) {
            auto link = std::make_shared<BusLink>();
            link->bus = std::move(*bus);
            link->client = std::make_unique<dbus::ConnectorClient>(*link->bus);
            state_->link = link;
            co_await state_->follow(link);
            state_->link.reset();
        } else {
            state_->failed("cannot reach the system bus", bus.error());
        }
        if (state_->left) co_return;
        state_->wake.expires_after(retry_after);
        co_await state_->wake.async_wait(net::as_result);
    }
}

void Fleet::leave() {
    state_->left = true;
    const std::shared_ptr<BusLink> link = std::exchange(state_->link, nullptr);
    if (link) {
        link->gone = true;
        link->bus.reset(); // calls in progress end without an answer
    }
    state_->wake.cancel();
}

void Fleet::status_changed() {
    state_->next_report = {};
    state_->again = true;
    state_->wake.cancel();
}

void Fleet::report_serving(const std::string& domain, const std::string& state, const std::string& reason) {
    if (!state_->link) return;
    asio::co_spawn(state_->executor, State::tell_serving(state_->link, domain, state, reason),
                   net::ReportFailure("a report on a domain"));
}

asio::awaitable<Result<std::string>> Fleet::sign(std::string domain, std::string csr) {
    const std::shared_ptr<BusLink> link = state_->link;
    if (!link) co_return fail(ErrorCode::Unreachable, "p2prcd is not running");
    co_return co_await link->client->sign_certificate(domain, csr);
}

asio::awaitable<Result<void>> Fleet::issue(std::string domain) {
    const std::shared_ptr<BusLink> link = state_->link;
    if (!link) co_return fail(ErrorCode::Unreachable, "p2prcd is not running");
    co_return co_await link->client->issue_certificate(domain);
}

asio::awaitable<bool> Fleet::report(std::string domain, std::string state, std::string detail,
                                    std::string not_after) {
    if (state == "failed" || (state == "ready" && !detail.empty()))
        net::log_warning(fmt::format("no new certificate for {}: {}", domain, detail));
    else if (state == "ready")
        net::log_notice(fmt::format("the certificate for {} is valid until {}", domain, not_after));
    const std::shared_ptr<BusLink> link = state_->link;
    if (!link) co_return false;
    const Result<void> reported = co_await link->client->report_certificate(domain, state, detail, not_after);
    if (!reported) state_->failed("cannot report on certificates", reported.error());
    co_return reported.has_value();
}

} // namespace p2prc::connector
