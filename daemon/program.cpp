#include "daemon/program.h"

#include "core/data_paths.h"
#include "core/paths.h"
#include "daemon/api/acme_unit.h"
#include "daemon/api/api.h"
#include "daemon/api/journal_logs.h"
#include "daemon/boot_record.h"
#include "daemon/fleet/fleet.h"
#include "daemon/fleet/units.h"
#include "daemon/measuring.h"
#include "daemon/status_log.h"
#include "dbus/bus.h"
#include "net/listen_fds.h"
#include "net/log.h"
#include "net/network_changes.h"
#include "net/notify.h"
#include "net/program.h"
#include "net/spawn.h"
#include "process/reconciler.h"
#include "process/systemd_bus.h"
#include "process/unit_names.h"
#include "state/origins.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace p2prc::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// The machine's name without its domain: it names the node until it is given another one.
std::string host_label() {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    const std::string full(name.data());
    return full.substr(0, full.find('.'));
}

Result<net::UniqueFd> control_socket() {
    auto sockets = net::take_passed_sockets();
    if (!sockets) return std::unexpected(sockets.error());
    for (auto& socket : *sockets)
        if (socket.name == "control") return std::move(socket.fd);
    return net::UniqueFd();
}

} // namespace

class Program::Impl {
  public:
    explicit Impl(ProgramOptions options) : options_(std::move(options)) {}

    Result<void> open();
    Result<void> run();

  private:
    awaitable<Result<void>> start();
    awaitable<Result<Json>> clean_deployments(std::string name);
    awaitable<void> stop();
    awaitable<void> watch_network();
    Result<void> make_reconciler(std::string boot);
    void reload();
    void fail_with(Error error);

    ProgramOptions options_;
    Config config_;
    std::string settings_error_; // of the last reload
    asio::io_context loop_{1};
    // From now on, as a reload may be asked for before all is there.
    net::Signals signals_{
        loop_.get_executor(),
        {.reload = [this] { reload(); },
         .stop = [this] { asio::co_spawn(loop_, stop(), net::ReportFailure("stopping")); }}};
    std::optional<Error> failure_;
    std::string boot_;
    // In the order of their needs: what is below uses what is above and goes first.
    state::Disk disk_;
    std::unique_ptr<state::Replica> replica_;
    std::unique_ptr<state::OwnState> own_;
    std::unique_ptr<dbus::Bus> bus_;
    std::unique_ptr<process::SystemdBus> systemd_;
    std::unique_ptr<SystemdUnits> units_;
    std::unique_ptr<process::JournalTail> journal_;
    OpenLogs open_logs_;
    std::unique_ptr<Fleet> fleet_;
    std::unique_ptr<process::Reconciler> reconciler_;
    std::unique_ptr<Measuring> measuring_;
    std::unique_ptr<Api> api_;
    state::Subscription failures_;
};

Result<void> Program::Impl::open() {
    auto config = load_config(config_files(options_.config_root));
    if (!config) return std::unexpected(config.error());
    config_ = *config;
    net::set_log_level(config_.log);
    auto socket = control_socket();
    if (!socket) return std::unexpected(socket.error());
    auto replica = state::Replica::open(options_.state / "replica.db", disk_);
    if (!replica) return std::unexpected(replica.error());
    replica_ = std::move(*replica);
    auto own = state::OwnState::open(options_.state / "own.db", disk_);
    if (!own) return std::unexpected(own.error());
    own_ = std::move(*own);
    auto bus = dbus::Bus::open_system(loop_.get_executor());
    if (!bus) return std::unexpected(bus.error());
    bus_ = std::move(*bus);
    // Programs that follow its signals and never read them cannot be refused; a new connection starts at
    // nothing.
    bus_->end_when_stuck(std::chrono::minutes(1));
    bus_->on_disconnect([this](const Error& error) {
        fail_with({ErrorCode::Unreachable, "lost the connection to the message bus: " + error.message,
                   "systemd starts p2prcd again"});
    });
    systemd_ = std::make_unique<process::SystemdBus>(*bus_);
    units_ = std::make_unique<SystemdUnits>(*bus_);
    journal_ = process::make_journal_tail();

    FleetOptions fleet;
    fleet.directory = options_.state;
    fleet.host_name = host_label();
    fleet.control_socket = std::move(*socket);
    fleet.open_logs = [this](Json params) { return open_logs_(std::move(params)); };
    fleet.measure_usage = [this] { return api_->measure_usage(); };
    fleet.node_renamed = [this](const std::string& name) {
        if (reconciler_) reconciler_->set_node(name);
    };
    fleet.link_changed = [this](bool up, const std::string& reason) {
        if (up)
            net::log_info("the link to the root is up");
        else
            net::log_notice("the link to the root is down: " + reason);
        if (api_) api_->link_changed();
    };
    fleet.settings_error = [this] { return settings_error_; };
    fleet.remote_spin = [this] { return std::string(remote_spin_name(config_.remote_spin)); };
    fleet.deployers = [this] {
        return deployers_to_json(process::report_deployers(process::deployer_directories(),
                                                           config_.remote_spin, config_.remote_deployers));
    };
    fleet.looked = [this] {
        if (measuring_) measuring_->look();
    };
    fleet.acme_client = paths::uacme;
    fleet.units = units_.get();
    fleet_ = std::make_unique<Fleet>(loop_.get_executor(), disk_, *replica_, *own_, std::move(fleet));

    const ApiParts parts{
        .bus = *bus_,
        .fleet = *fleet_,
        .replica = *replica_,
        .own = *own_,
        .check_spec = [this](const ProcessSpec& spec) { return reconciler_->check_spec(spec); },
        .apply_limits = [this](std::string node) { return reconciler_->apply_limits(std::move(node)); },
        .issue_certificate =
            [this](std::string domain, std::string acme) {
                return run_acme(*systemd_, std::move(domain), std::move(acme));
            },
        .clean_deployments = [this](std::string name) { return clean_deployments(std::move(name)); },
        .accepts = [this](const ProcessRecord& record) -> Result<void> {
            if (state::Origins(*own_).here(record)) return {};
            return check_remote_spin(config_.remote_spin, record.spec, fleet_->node_name());
        },
        .ports = {.boot_id = [this] { return boot_; }},
        .unconfined = [this] { return reconciler_ ? reconciler_->unconfined() : std::nullopt; },
    };
    api_ = std::make_unique<Api>(parts);
    open_logs_ = journal_logs(loop_.get_executor(), api_->view());
    return {};
}

Result<void> Program::Impl::make_reconciler(std::string boot) {
    boot_ = std::move(boot);
    process::ReconcilerOptions options{
        .node = fleet_->node_name(),
        .boot_id = boot_,
        .ended_boot = read_ended_boot(options_.state / "ended-boot"),
        .remote_spin = config_.remote_spin,
        .remote_deployers = config_.remote_deployers,
        .data = {data_root, process::private_data_root, options_.state / "data-owners"},
        .unit_directories = process::system_unit_directories(),
        .warn =
            [](std::string_view message, std::string_view process) {
                net::log_warning(message,
                                 {{"MESSAGE_ID", message_process_attention}, {"FLEET_NAME", process}});
            },
        .deployments = {.notes = options_.state / "deployments"}};
    reconciler_ = std::make_unique<process::Reconciler>(loop_.get_executor(), *systemd_, *replica_, *own_,
                                                        *journal_, std::move(options));
    failures_ = log_failures(*own_);
    measuring_ = std::make_unique<Measuring>(loop_.get_executor(), *own_, [this] {
        reconciler_->measure();
        reconciler_->tidy_ports();
        reconciler_->tidy_deployments();
        reconciler_->tidy_copies();
        reconciler_->tidy_stops();
    });
    return {};
}

awaitable<Result<Json>> Program::Impl::clean_deployments(std::string name) {
    const auto cleaned = co_await reconciler_->clean_deployments(std::move(name));
    if (!cleaned) co_return std::unexpected(cleaned.error());
    co_return Json{{"results", cleaned->results}, {"bytes", cleaned->bytes}};
}

awaitable<Result<void>> Program::Impl::start() {
    if (const auto connected = co_await systemd_->connect(); !connected) co_return connected;
    const auto boot = co_await systemd_->boot_identity();
    if (!boot) co_return std::unexpected(boot.error());
    // The fleet first, as its node's name is that of everything else.
    if (const auto started = co_await fleet_->start(); !started) co_return started;
    if (const auto made = make_reconciler(*boot); !made) co_return made;
    if (const auto adopted = co_await reconciler_->start(); !adopted) co_return adopted;
    // The name last: whoever finds it finds all.
    if (const auto named = co_await api_->start(); !named) co_return named;
    net::notify_ready(
        fmt::format("node {}{}", fleet_->node_name(), fleet_->is_root() ? ", with the registry" : ""));
    co_return Result<void>{};
}

void Program::Impl::fail_with(Error error) {
    if (!failure_) failure_ = std::move(error);
    loop_.stop();
}

awaitable<void> Program::Impl::stop() {
    // What ends while the machine goes down says nothing about the processes; the note tells the next boot
    // that.
    const auto state = co_await systemd_->system_state();
    const bool machine_stops = state && *state == "stopping";
    if (reconciler_) reconciler_->system_is_stopping();
    if (machine_stops)
        if (const auto noted = write_ended_boot(options_.state / "ended-boot", boot_); !noted)
            net::log_warning(noted.error().message);
    if (const auto flushed = co_await own_->flush(); !flushed) net::log_error(flushed.error().message);
    loop_.stop();
}

void Program::Impl::reload() {
    const auto config = load_config(config_files(options_.config_root));
    if (!config) {
        net::log_error(config.error().message + "; the settings are unchanged",
                       {{"MESSAGE_ID", message_bad_configuration}});
        settings_error_ = config.error().message;
        if (reconciler_) fleet_->settings_changed();
        return;
    }
    config_ = *config;
    settings_error_.clear();
    net::set_log_level(config_.log);
    if (reconciler_) {
        reconciler_->set_remote_spin(config_.remote_spin, config_.remote_deployers);
        fleet_->settings_changed();
    }
    net::log_info("reloaded the configuration");
}

// Where they cannot be heard of, what waits for the network is tried again by the clock.
awaitable<void> Program::Impl::watch_network() {
    auto changes = net::NetworkChanges::open(loop_.get_executor());
    if (!changes) co_return;
    while (co_await changes->next())
        if (reconciler_) reconciler_->network_changed();
}

Result<void> Program::Impl::run() {
    asio::co_spawn(loop_, start(), [this](const std::exception_ptr& thrown, const Result<void>& started) {
        if (thrown)
            fail_with({ErrorCode::Failed, "p2prcd could not start: " + net::text_of(thrown)});
        else if (!started)
            fail_with(started.error());
    });
    net::spawn_loop(loop_.get_executor(), "the watchdog", net::keep_watchdog);
    net::spawn_loop(loop_.get_executor(), "watching the network for processes",
                    [this] { return watch_network(); });
    loop_.run();
    if (failure_) return std::unexpected(*failure_);
    return {};
}

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::~Program() = default;

Result<std::unique_ptr<Program>> Program::create(ProgramOptions options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    if (const auto opened = impl->open(); !opened) return std::unexpected(opened.error());
    return std::unique_ptr<Program>(new Program(std::move(impl)));
}

Result<void> Program::run() {
    return impl_->run();
}

} // namespace p2prc::daemon
