#include "process/port_confinement.h"

#include "net/cgroups.h"
#include "net/log.h"
#include "net/spawn.h"
#include "process/reconciler.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::process {

namespace asio = boost::asio;

PortConfinement::PortConfinement(asio::any_io_executor loop, Systemd& systemd, const NodeRecords& records,
                                 const ReconcilerOptions& options)
    : loop_(std::move(loop))
    , records_(records)
    , options_(options)
    , systemd_(systemd)
    , programs_(loop_, systemd, options.pins) {}

void PortConfinement::stop() {
    stopped_ = true;
    timer_.reset();
}

// Once for all that may be started soon, so that a boot with many processes makes one unit for it.
asio::awaitable<void> PortConfinement::prepare() {
    const auto features = co_await systemd_.features();
    if (features) by_systemd_ = net::confines_ports(*features);
    std::vector<BindRule> rules;
    for (const auto name : records_.agreed().processes_on(options_.node)) {
        const auto* record = records_.record(name);
        if (!record) continue;
        if (const auto rule = bind_rule(*record); rule && !rule->ports.empty()) rules.push_back(*rule);
    }
    const auto prepared = co_await programs_.prepare(std::move(rules));
    if (by_systemd_ || stopped_) co_return;
    const bool again = unconfined_.has_value();
    unconfined_.reset();
    if (prepared) {
        if (again) net::log_notice("processes are kept to their ports from their next start on");
        co_return;
    }
    unconfined_ = prepared.error();
    retry_later();
    if (!again)
        net::log_warning(
            fmt::format("processes are not kept to their ports, so each can bind those of others: {}",
                        prepared.error().message),
            {{"FLEET_HINT", prepared.error().hint}});
}

// The failure may pass: a boot under load, a BPF file system that is mounted later. A machine
// that never has one is asked every hour.
void PortConfinement::retry_later() {
    pause_ = pause_ == pause_.zero() ? options_.first_ports_pause
                                     : std::min(2 * pause_, options_.longest_ports_pause);
    timer_ = std::make_unique<asio::steady_timer>(loop_, pause_);
    timer_->async_wait([this, weak = owner_](const boost::system::error_code& error) {
        auto owner = weak.lock();
        if (error || !owner || stopped_) return;
        asio::co_spawn(loop_, prepare_again(std::move(owner)),
                       net::ReportFailure("keeping processes to their ports"));
    });
}

asio::awaitable<void> PortConfinement::prepare_again(std::shared_ptr<void> /* keeps it alive */) {
    co_await prepare();
}

asio::awaitable<Result<void>> PortConfinement::confine(std::string name, ProcessRecord record, BindRule rule,
                                                       TransientUnit& content) {
    const auto pinned = co_await programs_.pin(name, rule);
    if (pinned) {
        add_bind_programs(content, rule);
        co_return Result<void>{};
    }
    if (pinned.error().code == ErrorCode::Unreachable) co_return std::unexpected(pinned.error());
    if (by_systemd_) co_return Result<void>{};
    if (programs_.usable() && options_.warn)
        options_.warn(fmt::format("'{}' is not kept to its port: {}", name, pinned.error().message), name);
    if (records_.origin_of(record) == Origin::Local) co_return Result<void>{};
    co_return check_remote_port(options_.remote_spin, record, false);
}

void PortConfinement::tidy(const std::set<std::string>& in_use) {
    auto unused = programs_.pinned();
    unused.erase(bind_rule_name({}));
    if (unused.empty()) return;
    for (const auto name : records_.agreed().processes_on(options_.node))
        if (const auto* record = records_.record(name))
            if (const auto rule = bind_rule(*record)) unused.erase(bind_rule_name(*rule));
    for (const auto& rule : in_use)
        unused.erase(rule);
    if (unused.empty()) return;
    asio::co_spawn(loop_, report_unpin(owner_.lock(), programs_.unpin(unused)),
                   net::ReportFailure("removing the programs of ports"));
}

asio::awaitable<void> PortConfinement::report_unpin(std::shared_ptr<void> /* keeps it alive */,
                                                    asio::awaitable<Result<void>> unpin) {
    const auto done = co_await std::move(unpin);
    if (!done && !stopped_)
        net::log_warning(
            fmt::format("programs that kept processes to ports stay, though no process needs them: {}",
                        done.error().message),
            {{"FLEET_HINT", done.error().hint}});
}

} // namespace p2prc::process
