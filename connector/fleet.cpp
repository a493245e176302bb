#include "connector/fleet.h"

#include "dbus/follower.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

using Connection = std::shared_ptr<dbus::Follower::Connection>;

Error not_running() {
    return {ErrorCode::Unreachable, "p2prcd is not running"};
}

// The bus keeps the order of these calls. p2prcd rightly refuses a report on a domain that was just unmapped.
asio::awaitable<void> tell_serving(Connection held, std::string domain, std::string state,
                                   std::string reason) {
    if (!held->bus) co_return; // left since
    dbus::ConnectorClient client(*held->bus);
    (void)co_await client.report_serving(domain, state, reason);
}

asio::awaitable<void> tell_traffic(Connection held, nlohmann::json traffic) {
    if (!held->bus) co_return; // left since
    dbus::ConnectorClient client(*held->bus);
    (void)co_await client.report_traffic(std::move(traffic));
}

// Also hears when p2prcd asks for what clients have sent and got.
class FollowedMappings final
    : public dbus::FollowedBy<dbus::ConnectorClient, &dbus::ConnectorClient::mappings> {
  public:
    FollowedMappings(dbus::Bus& bus, std::function<void()> traffic_asked)
        : FollowedBy(bus)
        , client_(bus)
        , traffic_asked_(std::move(traffic_asked)) {}

    Result<dbus::Registration> watch(std::function<void(std::uint64_t revision)> changed) override {
        auto mappings = FollowedBy::watch(std::move(changed));
        if (!mappings) return mappings;
        auto traffic = client_.watch_traffic_asked(traffic_asked_);
        if (!traffic) return traffic;
        return std::make_shared<std::pair<dbus::Registration, dbus::Registration>>(*mappings, *traffic);
    }

  private:
    dbus::ConnectorClient client_;
    std::function<void()> traffic_asked_;
};

} // namespace

struct Fleet::State {
    State(asio::any_io_executor executor_, FleetOptions options_)
        : executor(std::move(executor_))
        , options(std::move(options_))
        , follower(executor, follower_options()) {}

    dbus::FollowerOptions follower_options() {
        dbus::FollowerOptions made;
        made.open = [this](dbus::Bus& bus) {
            return std::make_unique<FollowedMappings>(bus, [this] { report_traffic(); });
        };
        made.what = "mappings";
        made.bus_address = options.bus_address;
        made.fingerprint = options.fingerprint;
        made.apply = [this](dbus::Feed feed) -> Result<void> {
            const auto table = mapping_table_from_json(feed.document);
            if (!table) return std::unexpected(table.error());
            options.apply(*table);
            return {};
        };
        made.status = options.status;
        made.registered = options.connected;
        made.refused = [this](const Error& refusal) {
            if (refusal.code == ErrorCode::Conflict) options.key_taken();
        };
        made.warn = [](const Error& failure) {
            net::log_warning(failure.message, {{"FLEET_HINT", failure.hint}});
        };
        return made;
    }

    void report_traffic() {
        auto held = follower.connection();
        if (!held || !options.traffic) return;
        asio::co_spawn(executor, tell_traffic(std::move(held), options.traffic()),
                       net::ReportFailure("a report on traffic"));
    }

    asio::any_io_executor executor;
    FleetOptions options;
    dbus::Follower follower;
};

Fleet::Fleet(asio::any_io_executor executor, FleetOptions options)
    : state_(std::make_unique<State>(std::move(executor), std::move(options))) {}

Fleet::~Fleet() = default;

asio::awaitable<void> Fleet::run() {
    return state_->follower.run();
}

void Fleet::leave() {
    state_->follower.leave();
}

void Fleet::status_changed() {
    state_->follower.report();
}

void Fleet::report_serving(const std::string& domain, const std::string& state, const std::string& reason) {
    auto held = state_->follower.connection();
    if (!held) return;
    asio::co_spawn(state_->executor, tell_serving(std::move(held), domain, state, reason),
                   net::ReportFailure("a report on a domain"));
}

asio::awaitable<Result<std::string>> Fleet::sign(std::string domain, std::string csr) {
    const auto held = state_->follower.connection();
    if (!held) co_return std::unexpected(not_running());
    dbus::ConnectorClient client(*held->bus);
    co_return co_await client.sign_certificate(domain, csr);
}

asio::awaitable<Result<void>> Fleet::issue(std::string domain) {
    const auto held = state_->follower.connection();
    if (!held) co_return std::unexpected(not_running());
    dbus::ConnectorClient client(*held->bus);
    co_return co_await client.issue_certificate(domain);
}

asio::awaitable<bool> Fleet::report(std::string domain, std::string state, std::string detail,
                                    std::string not_after) {
    if (state == "failed" || (state == "ready" && !detail.empty()))
        net::log_warning(fmt::format("no new certificate for {}: {}", domain, detail));
    else if (state == "ready")
        net::log_notice(fmt::format("the certificate for {} is valid until {}", domain, not_after));
    const auto held = state_->follower.connection();
    if (!held) co_return false;
    dbus::ConnectorClient client(*held->bus);
    const auto reported = co_await client.report_certificate(domain, state, detail, not_after);
    if (!reported) state_->follower.failed("cannot report on certificates", reported.error());
    co_return reported.has_value();
}

} // namespace p2prc::connector
