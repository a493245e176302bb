#include "connector/program.h"

#include "connector/certificates.h"
#include "connector/connector.h"
#include "connector/delegation.h"
#include "connector/fleet.h"
#include "connector/serving.h"
#include "core/counted.h"
#include "net/file.h"
#include "net/handover.h"
#include "net/log.h"
#include "net/network_changes.h"
#include "net/notify.h"
#include "net/one_shot_timer.h"
#include "net/program.h"
#include "net/spawn.h"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

// How long clients are served after this program was stopped.
constexpr std::chrono::seconds drain_limit{60};

// How long a key is kept although another node is said to have it.
constexpr std::chrono::minutes key_stays{10};

// With a file of mappings, there is no p2prcd to ask for certificates.
class NoSource final : public CertificateSource {
  public:
    asio::awaitable<Result<std::string>> sign(std::string domain, std::string) override {
        co_return fail(ErrorCode::NotFound, "no certificate for " + domain,
                       "name its files with certificate and private_key");
    }
    asio::awaitable<Result<void>> issue(std::string domain) override {
        co_return fail(ErrorCode::NotFound, "no certificate for " + domain);
    }
    asio::awaitable<bool> report(std::string domain, std::string state, std::string detail,
                                 std::string) override {
        if (state == "failed") net::log_warning(fmt::format("{}: {}", domain, detail));
        co_return true;
    }
};

void log_link(const EdgeAddress& edge, const EdgeLinkStatus& status) {
    const std::string address = edge.address.text();
    if (status.up)
        net::log_notice(fmt::format("connected to the edge at {}", address));
    else
        net::log_warning(fmt::format("no session with the edge at {}: {}", address, status.error),
                         {{"FLEET_HINT", status.hint}});
}

nlohmann::json to_json(const ConnectorStatus& status) {
    nlohmann::json edges = nlohmann::json::array();
    for (const auto& [address, edge] : status.edges)
        edges.push_back(
            {{"address", address}, {"up", edge.up}, {"error", edge.error}, {"ready", edge.ready}});
    return {{"edges", edges}, {"clients", status.clients}, {"held", status.held}};
}

nlohmann::json to_json(const std::map<std::uint32_t, tunnel::Traffic>& traffic) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& [mapping, counted] : traffic)
        rows.push_back({{"mapping", mapping},
                        {"connections", counted.connections},
                        {"received_bytes", counted.received},
                        {"sent_bytes", counted.sent}});
    return rows;
}

asio::awaitable<void> watch_network(Connector& connector) {
    const auto executor = co_await asio::this_coro::executor;
    auto changes = net::NetworkChanges::open(executor);
    if (!changes) {
        net::log_warning("cannot watch the network; changes are noticed late: " + changes.error().message);
        co_return;
    }
    while (co_await changes->next())
        connector.network_changed();
}

class Program {
  public:
    Program(CommandLine line, net::Identity identity)
        : line_(std::move(line))
        , context_(1)
        , poller_(context_.get_executor())
        , connector_(
              poller_, identity,
              [this](const EdgeAddress& edge, const EdgeLinkStatus& status) { link_changed(edge, status); },
              {},
              [this](std::uint32_t mapping, tunnel::Answer answer) {
                  if (serving_) serving_->answered(mapping, answer);
              })
        , fingerprint_(identity.fingerprint())
        , signals_(context_.get_executor(), {.reload = [this] { reload(); },
                                             .stop = [this] { leave(); },
                                             .stop_now = [this] { context_.stop(); }})
        , drain_timer_(context_.get_executor()) {}

    Result<void> run() {
        CertificateOptions options;
        options.directory = line_.state;
        options.check_delegation = [](std::string zone) { return check_delegation(std::move(zone)); };
        if (line_.mappings.empty()) {
            fleet_.emplace(context_.get_executor(), fleet_options());
            serving_.emplace(
                context_.get_executor(),
                [this](const std::string& domain, const std::string& state, const std::string& reason) {
                    fleet_->report_serving(domain, state, reason);
                });
        }
        CertificateSource& source = fleet_ ? static_cast<CertificateSource&>(*fleet_) : nobody_;
        certificates_.emplace(
            context_.get_executor(), source,
            [this](const std::string& domain, std::shared_ptr<ssl_ctx_st> tls) {
                if (serving_) serving_->set_certificate(domain, tls);
                connector_.set_certificate(domain, std::move(tls));
            },
            options);
        if (fleet_)
            net::spawn_loop(context_.get_executor(), "following p2prcd", [this] { return fleet_->run(); });
        else if (auto loaded = load(); !loaded)
            return loaded;
        net::spawn_loop(context_.get_executor(), "watching the network",
                        [this] { return watch_network(connector_); });
        net::spawn_loop(context_.get_executor(), "the watchdog", net::keep_watchdog);
        net::notify_ready();
        context_.run();
        return ended_;
    }

  private:
    FleetOptions fleet_options() {
        FleetOptions options;
        options.fingerprint = fingerprint_;
        options.apply = [this](const MappingTable& table) { apply(table); };
        options.status = [this] { return to_json(connector_.status()); };
        options.traffic = [this] { return to_json(connector_.traffic()); };
        options.key_taken = [this] { change_key(); };
        options.connected = [this] {
            certificates_->retry();
            if (serving_) serving_->report_again();
        };
        return options;
    }

    // A copied machine, or a member that names the key of another while that is out of the fleet. Nothing but
    // the tunnel depends on the key, which has none without a registered one. Not again and again: a
    // conquered root could keep the connector restarting with it.
    void change_key() {
        if (net::identity_age(line_.state) < key_stays) return;
        const auto made = net::create_identity(line_.state);
        if (made)
            ended_ = fail(ErrorCode::Conflict,
                          "another node has this connector's key; it starts again with a new one");
        else
            ended_ = std::unexpected(made.error());
        leave();
    }

    // Certificates first: a mapping is served from the moment it is known.
    void apply(const MappingTable& table) {
        certificates_->set_mappings(table);
        connector_.set_mappings(table);
        if (serving_) serving_->set_mappings(table);
    }

    void link_changed(const EdgeAddress& edge, const EdgeLinkStatus& status) {
        log_link(edge, status);
        if (!fleet_) return;
        fleet_->status_changed();
        if (serving_) serving_->set_link(edge.address, status.up);
    }

    Result<void> load() {
        const auto text = net::read_file(line_.mappings);
        if (!text) return std::unexpected(text.error());
        const auto table = mapping_table_from_toml(*text, line_.mappings);
        if (!table) return std::unexpected(table.error());
        apply(*table);
        net::log_notice(fmt::format("{}: {}, {}", line_.mappings,
                                    counted(table->edges.size(), "edge", "edges"),
                                    counted(table->mappings.size(), "mapping", "mappings")));
        return {};
    }

    void reload() {
        if (line_.mappings.empty()) {
            net::log_notice("mappings come from p2prcd; there is no file to reload");
        } else if (const auto loaded = load(); !loaded) {
            net::log_error("the mappings are unchanged: " + loaded.error().message,
                           {{"FLEET_HINT", loaded.error().hint}});
        }
    }

    // A restart, as after an upgrade of a library, must not disconnect clients, and the next connector must
    // not wait for them: a copy of this process keeps serving its clients beside the next one
    // (KillMode=process). TLS state lives in memory and cannot be passed to another program.
    void leave() {
        connector_.leave();
        if (!fleet_ || connector_.status().clients == 0) return context_.stop();
        serving_.reset();
        fleet_->leave();
        const int exit_status = ended_ ? EXIT_SUCCESS : net::report_failure(ended_.error());
        if (const auto copied = net::hand_over_to_copy(context_, exit_status); !copied) {
            net::log_warning("clients are disconnected: " + copied.error().message);
            return context_.stop();
        }
        ended_ = {};
        net::log_notice(fmt::format("process {} keeps serving {}, for {} s at most", getpid(),
                                    counted(connector_.status().clients, "client", "clients"),
                                    drain_limit.count()));
        unsetenv("NOTIFY_SOCKET");
        drain_until_ = std::chrono::steady_clock::now() + drain_limit;
        drain();
    }

    void drain() {
        if (connector_.status().clients == 0 || std::chrono::steady_clock::now() >= drain_until_)
            return context_.stop();
        drain_timer_.arm(std::chrono::milliseconds(500), [this] { drain(); });
    }

    CommandLine line_;
    asio::io_context context_;
    tunnel::Poller poller_;
    Connector connector_;
    std::string fingerprint_;
    Result<void> ended_;
    net::Signals signals_;
    net::OneShotTimer drain_timer_;
    std::chrono::steady_clock::time_point drain_until_;
    NoSource nobody_;
    std::optional<Fleet> fleet_;     // none with a file of mappings
    std::optional<Serving> serving_; // the same
    std::optional<Certificates> certificates_;
};

} // namespace

Result<void> run_program(const CommandLine& line) {
    const auto identity = net::load_or_create_identity(line.state);
    if (!identity) return std::unexpected(identity.error());
    if (line.fingerprint) {
        fmt::print("{}\n", identity->fingerprint());
        return {};
    }
    return Program(line, *identity).run();
}

} // namespace p2prc::connector
