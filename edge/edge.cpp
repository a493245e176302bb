#include "edge/edge.h"

#include "core/text.h"
#include "edge/dns/server.h"
#include "edge/dns/zone.h"
#include "edge/listen/lingering_close.h"
#include "edge/listen/listener.h"
#include "edge/relay/dialer.h"
#include "edge/relay/joiner.h"
#include "edge/router.h"
#include "edge/routes/snapshot.h"
#include "edge/tunnel/upstream.h"
#include "net/clock.h"
#include "net/log.h"
#include "tunnel/poller.h"
#include "tunnel/pumps.h"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

namespace p2prc::edge {
namespace {

constexpr std::uint16_t http_port = 80;
// When the edge stops, it does not wait for relayed connections that have been idle for this long.
constexpr std::chrono::seconds quiet_time{2};
constexpr std::size_t most_rejections = 50;

RouterOptions router_options(const Config& config) {
    RouterOptions options;
    // With a file of routes there is no daemon to pass control links to.
    if (config.routes_file.empty())
        if (auto target = Target::unix_socket(config.control_socket)) options.control = *target;
    return options;
}

dns::Options dns_options(const Config& config) {
    dns::Options options;
    if (config.routes_file.empty()) options.state_file = config.state_directory + "/dns-serials.json";
    options.udp_answers_per_second = config.dns_answers_per_second;
    options.on_error = [](const Error& error) {
        net::log_warning("DNS: " + error.message, {{"FLEET_HINT", error.hint}});
    };
    return options;
}

// At most `most_rejections`, because the report has a size limit; the journal has all.
nlohmann::json rejections_json(const std::vector<Rejection>& rejected) {
    auto list = nlohmann::json::array();
    for (const auto& each : rejected) {
        if (list.size() == most_rejections) break;
        list.push_back({{"name", each.name}, {"reason", text::excerpt(each.reason, 200)}});
    }
    return list;
}

} // namespace

struct Edge::Parts {
    Parts(boost::asio::any_io_executor executor, Config a_config)
        : config(std::move(a_config))
        , poller(executor)
        , pumps(poller, config.pump)
        , lingering_close(poller)
        , joiner(pumps, lingering_close, counters)
        , dialer(poller, joiner, config.dial_timeout)
        , router(router_options(config), dialer, lingering_close, counters)
        , listener(poller, config.listener, router, counters)
        , dns(executor, dns_options(config))
        , drain_timer(executor) {}

    Config config;
    Counters counters;
    tunnel::Poller poller;
    tunnel::Pumps pumps;
    LingeringClose lingering_close;
    Joiner joiner;
    Dialer dialer;
    Router router;
    std::unique_ptr<TunnelUpstream> upstream; // none: there are no tunnels
    Listener listener;
    dns::Server dns;
    boost::asio::steady_timer drain_timer;
    std::chrono::steady_clock::time_point drain_end;
    std::function<void()> drained;
    std::vector<Rejection> rejected;     // of the table that is served
    std::vector<net::Address> published; // by its zones

    void wait_for_drain() {
        const auto left = pumps.busy(quiet_time, control_links) + lingering_close.size() + dialer.dialling() +
                          listener.waiting() + (upstream ? upstream->waiting() : 0);
        if (left == 0 || std::chrono::steady_clock::now() >= drain_end) {
            drained();
            return;
        }
        drain_timer.expires_after(std::chrono::milliseconds(50));
        drain_timer.async_wait([this](const boost::system::error_code& error) {
            if (!error) wait_for_drain();
        });
    }
};

Edge::Edge(boost::asio::any_io_executor executor, Config config)
    : parts_(std::make_unique<Parts>(std::move(executor), std::move(config))) {}

Edge::~Edge() = default;

Result<void> Edge::listen(std::vector<net::PassedSocket> passed) {
    for (auto& socket : passed) {
        // A socket unit gives all its sockets the same name; then the port tells them apart.
        const bool http = socket.name == "http" ||
                          (socket.name != "https" && net::local_endpoint(socket.fd.get()).port == http_port);
        if (auto done = parts_->listener.listen(std::move(socket.fd), http ? Protocol::Http : Protocol::Tls);
            !done)
            return done;
    }
    const auto open = [this](const std::vector<net::Endpoint>& endpoints, Protocol protocol) -> Result<void> {
        for (const auto& endpoint : endpoints) {
            auto socket = open_listener(endpoint);
            if (!socket) return std::unexpected(socket.error());
            if (auto done = parts_->listener.listen(std::move(*socket), protocol); !done) return done;
        }
        return {};
    };
    if (auto done = open(parts_->config.listen_tls, Protocol::Tls); !done) return done;
    if (auto done = open(parts_->config.listen_http, Protocol::Http); !done) return done;
    return parts_->dns.listen(parts_->config.listen_dns);
}

Result<void> Edge::listen_dns(const std::vector<net::Endpoint>& endpoints) {
    return parts_->dns.rebind(endpoints);
}

Result<void> Edge::check(const RouteTable& table) {
    std::vector<Rejection> rejected;
    RouteSnapshot::compile(table, rejected);
    if (!rejected.empty())
        return fail(ErrorCode::InvalidSpec,
                    "route '" + rejected.front().name + "': " + rejected.front().reason);
    return dns::check_zones(table);
}

std::vector<Rejection> Edge::apply(const RouteTable& table) {
    // Removing a node's clients must not depend on whether the rest succeeds.
    if (parts_->upstream) parts_->upstream->allow(table.connector_keys);
    std::vector<Rejection> rejected;
    parts_->router.set_routes(RouteSnapshot::compile(table, rejected));
    const auto left_out = parts_->dns.publish(table);
    rejected.insert(rejected.end(), left_out.begin(), left_out.end());
    parts_->rejected = rejected;
    parts_->published.clear();
    for (const auto& zone : table.zones)
        for (const auto& text : zone.addresses)
            if (const auto address = net::Address::parse(text)) parts_->published.push_back(*address);
    return rejected;
}

const std::vector<net::Address>& Edge::published() const noexcept {
    return parts_->published;
}

Result<void> Edge::open_tunnels(const net::Identity& identity) {
    auto upstream = TunnelUpstream::create(parts_->poller, parts_->pumps, parts_->joiner, identity);
    if (!upstream) return std::unexpected(upstream.error());
    parts_->upstream = std::move(*upstream);
    parts_->router.set_upstream(parts_->upstream.get());
    parts_->upstream->look_up_with([&router = parts_->router](const std::string& name) -> const Route* {
        const auto* found = router.routes().find(name);
        return found && !found->target ? &found->route : nullptr;
    });
    return {};
}

void Edge::drain(std::function<void()> drained) {
    parts_->listener.stop_accepting();
    parts_->drained = std::move(drained);
    parts_->drain_end = std::chrono::steady_clock::now() + parts_->config.drain;
    parts_->wait_for_drain();
}

std::size_t Edge::routes() const noexcept {
    return parts_->router.routes().size();
}

bool Edge::has_tunnels() const noexcept {
    return parts_->upstream != nullptr;
}

std::size_t Edge::homes() const {
    return parts_->upstream ? parts_->upstream->homes() : 0;
}

std::size_t Edge::connections() const noexcept {
    return parts_->pumps.size();
}

nlohmann::json Edge::status() const {
    auto document = to_json(parts_->counters);
    document["revision"] = parts_->router.routes().revision();
    document["rejected"] = rejections_json(parts_->rejected);
    document["routes"] = routes();
    document["connections"] = connections();
    document["waiting"] = parts_->listener.waiting();
    document["dialling"] = parts_->dialer.dialling() + (parts_->upstream ? parts_->upstream->waiting() : 0);
    document["bytes"] = parts_->pumps.bytes();
    const auto& dns = parts_->dns.counters();
    document["dns"] = {{"udp_queries", dns.udp_queries},   {"tcp_queries", dns.tcp_queries},
                       {"rate_slipped", dns.rate_slipped}, {"rate_dropped", dns.rate_dropped},
                       {"tcp_open", dns.tcp_open},         {"tcp_refused", dns.tcp_refused}};
    document["serials"] = parts_->dns.serials();
    if (parts_->upstream) document["tunnel"] = parts_->upstream->status();
    return document;
}

} // namespace p2prc::edge
