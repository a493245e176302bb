#include "edge/program.h"

#include "core/counted.h"
#include "edge/config.h"
#include "edge/dns_endpoints.h"
#include "edge/edge.h"
#include "edge/routes/file.h"
#include "edge/routes/fleet.h"
#include "net/file.h"
#include "net/identity.h"
#include "net/log.h"
#include "net/network_changes.h"
#include "net/notify.h"
#include "net/one_shot_timer.h"
#include "net/program.h"
#include "net/spawn.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace p2prc::edge {
namespace {

constexpr std::string_view default_config_file = "/etc/p2prc/edge.toml";

Result<Config> make_config(const CommandLine& line) {
    Config config;
    const bool given = !line.config_file.empty();
    const std::string file = given ? line.config_file : std::string(default_config_file);
    // With a file of routes, the machine's own configuration does not apply.
    if (given || line.routes_file.empty()) {
        const auto text = net::read_file(file);
        if (text) {
            if (auto read = read_config(*text, file, config); !read) return std::unexpected(read.error());
        } else if (given || text.error().code != ErrorCode::NotFound) {
            return std::unexpected(text.error());
        }
    }
    config.routes_file = line.routes_file;
    if (!line.listen_tls.empty()) config.listen_tls = line.listen_tls;
    if (!line.listen_http.empty()) config.listen_http = line.listen_http;
    if (!line.listen_dns.empty()) config.listen_dns = line.listen_dns;
    return config;
}

// Reads the file again; keeps serving the old routes if that fails.
class FileRoutes {
  public:
    FileRoutes(Edge& edge, std::string file) : edge_(edge), file_(std::move(file)) {}

    Result<void> load() {
        const auto table = load_routes_file(file_);
        if (!table) return std::unexpected(table.error());
        if (const auto good = Edge::check(*table); !good) {
            auto error = good.error();
            // The error of a zone file names that file already.
            if (error.message.find(file_) == std::string::npos) error.message = file_ + ": " + error.message;
            return std::unexpected(std::move(error));
        }
        edge_.apply(*table);
        return {};
    }

    void reload() {
        if (const auto loaded = load(); !loaded) {
            net::log_error("the routes stay as they were: " + loaded.error().message,
                           {{"FLEET_HINT", loaded.error().hint}});
            return;
        }
        net::log_notice(fmt::format("{}: {}", file_, counted(edge_.routes(), "route", "routes")));
    }

  private:
    Edge& edge_;
    std::string file_;
};

// Keeps DNS on the machine's own addresses as they change. Retries a port that another program holds.
class OwnDns {
  public:
    OwnDns(boost::asio::any_io_executor executor, Edge& edge) : edge_(edge), retry_(executor) {}

    // The zones may have other addresses now.
    void published() {
        if (following_) bind();
    }

    boost::asio::awaitable<void> follow() {
        auto changes = net::NetworkChanges::open(co_await boost::asio::this_coro::executor);
        following_ = true;
        bind();
        while (changes && co_await changes->next())
            bind();
    }

  private:
    static constexpr std::chrono::seconds retry_after{5};

    void bind() {
        const auto bound = edge_.listen_dns(own_dns_endpoints(edge_.published()));
        const std::string failure = bound ? std::string() : bound.error().message;
        // Log each failure once, not at each attempt.
        if (std::exchange(failure_, failure) != failure && !failure.empty())
            net::log_warning("DNS: " + failure, {{"FLEET_HINT", bound.error().hint}});
        retry_.cancel();
        if (!bound) retry_.arm(retry_after, [this] { bind(); });
    }

    Edge& edge_;
    bool following_ = false;
    net::OneShotTimer retry_;
    std::string failure_;
};

// Keeps the status line of `systemctl status` up to date.
class StatusLine {
  public:
    StatusLine(boost::asio::any_io_executor executor, const Edge& edge) : edge_(edge), timer_(executor) {}

    std::string text() const {
        auto line = counted(edge_.routes(), "route", "routes");
        if (edge_.has_tunnels()) line += ", " + counted(edge_.homes(), "home", "homes") + " connected";
        return line + ", " + counted(edge_.connections(), "client", "clients");
    }

    void follow() {
        auto line = text();
        if (line != last_) net::notify_status(line);
        last_ = std::move(line);
        timer_.arm(interval, [this] { follow(); });
    }

  private:
    static constexpr std::chrono::seconds interval{15}; // an idle edge sleeps

    const Edge& edge_;
    net::OneShotTimer timer_;
    std::string last_;
};

void run_until_stopped(boost::asio::io_context& context, Edge& edge, std::function<void()> reload) {
    const net::Signals signals(context.get_executor(),
                               {.reload = std::move(reload),
                                .stop = [&] { edge.drain([&] { context.stop(); }); },
                                .stop_now = [&] { context.stop(); },
                                .report = [&] { net::log_notice(edge.status().dump()); }});
    net::spawn_loop(context.get_executor(), "the watchdog", net::keep_watchdog);
    StatusLine status(context.get_executor(), edge);
    net::notify_ready(status.text());
    net::log_notice("serving " + counted(edge.routes(), "route", "routes"));
    status.follow();
    context.run();
}

Result<void> run_alone(const Config& config, std::vector<net::PassedSocket> passed) {
    boost::asio::io_context context(1);
    Edge edge(context.get_executor(), config);
    FileRoutes routes(edge, config.routes_file);
    if (auto loaded = routes.load(); !loaded) return loaded;
    if (auto listening = edge.listen(std::move(passed)); !listening) return listening;
    run_until_stopped(context, edge, [&routes] { routes.reload(); });
    return {};
}

Result<void> run_in_fleet(const Config& config, std::vector<net::PassedSocket> passed) {
    auto identity = net::load_or_create_identity(config.state_directory);
    if (!identity) return std::unexpected(identity.error());
    boost::asio::io_context context(1);
    Edge edge(context.get_executor(), config);
    OwnDns own_dns(context.get_executor(), edge);
    if (auto opened = edge.open_tunnels(*identity); !opened) return opened;
    FleetRoutesOptions options;
    options.fingerprint = identity->fingerprint();
    options.cache_file = config.state_directory + "/routes.json";
    options.apply = [&](const RouteTable& table) {
        auto rejected = edge.apply(table);
        own_dns.published();
        return rejected;
    };
    options.status = [&edge] { return edge.status(); };
    FleetRoutes routes(context.get_executor(), std::move(options));
    routes.load_cache();
    if (auto listening = edge.listen(std::move(passed)); !listening) return listening;
    if (config.listen_dns.empty())
        net::spawn_loop(context.get_executor(), "following this machine's addresses",
                        [&] { return own_dns.follow(); });
    net::spawn_loop(context.get_executor(), "following the routes", [&] { return routes.run(); });
    run_until_stopped(context, edge,
                      [] { net::log_notice("routes come from p2prcd: there is no file to read"); });
    return {};
}

} // namespace

Result<void> run_program(const CommandLine& line) {
    auto config = make_config(line);
    if (!config) return std::unexpected(config.error());
    auto passed = net::take_passed_sockets();
    if (!passed) return std::unexpected(passed.error());
    if (passed->empty() && config->listen_tls.empty() && config->listen_http.empty() &&
        config->listen_dns.empty())
        return fail(ErrorCode::InvalidSpec, "there is no address to listen on",
                    "start p2prc-edge.socket, or give --listen-tls ADDR:PORT");
    return config->routes_file.empty() ? run_in_fleet(*config, std::move(*passed))
                                       : run_alone(*config, std::move(*passed));
}

} // namespace p2prc::edge
