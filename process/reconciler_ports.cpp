#include "net/cgroups.h"
#include "net/log.h"
#include "net/spawn.h"
#include "process/reconciler_impl.h"
#include "state/origins.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::process {

namespace asio = boost::asio;

// Once for all that may be started soon, so that a boot with many processes makes one unit for it.
asio::awaitable<void> Reconciler::Impl::prepare_ports() {
    const auto features = co_await systemd_.features();
    if (features) confines_ports_ = net::confines_ports(*features);
    std::vector<BindRule> rules;
    for (const auto name : agreed().processes_on(options.node)) {
        const auto* record = record_of(name);
        if (!record) continue;
        if (const auto rule = bind_rule(*record); rule && !rule->ports.empty()) rules.push_back(*rule);
    }
    const auto prepared = co_await bind_programs_.prepare(std::move(rules));
    if (confines_ports_ || stopping) co_return;
    const bool again = unconfined.has_value();
    unconfined.reset();
    if (prepared) {
        if (again) net::log_notice("processes are kept to their ports from their next start on");
        co_return;
    }
    unconfined = prepared.error();
    retry_ports_later();
    if (!again)
        net::log_warning(
            fmt::format("processes are not kept to their ports, so each can bind those of others: {}",
                        prepared.error().message),
            {{"FLEET_HINT", prepared.error().hint}});
}

// The failure may pass: a boot under load, a BPF file system that is mounted later. A machine
// that never has one is asked every hour.
void Reconciler::Impl::retry_ports_later() {
    ports_pause_ = ports_pause_ == ports_pause_.zero()
                       ? options.first_ports_pause
                       : std::min(2 * ports_pause_, options.longest_ports_pause);
    ports_timer_ = std::make_unique<asio::steady_timer>(loop_, ports_pause_);
    ports_timer_->async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto impl = weak.lock();
        if (error || !impl || impl->stopping) return;
        asio::co_spawn(impl->loop_, impl->prepare_ports_again(impl),
                       net::ReportFailure("keeping processes to their ports"));
    });
}

asio::awaitable<void> Reconciler::Impl::prepare_ports_again(std::shared_ptr<Impl> /* keeps it alive */) {
    co_await prepare_ports();
}

// A process that cannot be confined is started all the same where that is no more than a free port for it.
// NotPermitted where it would be more; Unreachable: nobody knows yet.
asio::awaitable<Result<void>> Reconciler::Impl::confine(std::string name, Facts now, TransientUnit& content) {
    const auto& record = *now.record;
    const auto rule = bind_rule(record);
    if (!rule) co_return Result<void>{};
    slots_[name].bind_rule = bind_rule_name(*rule);
    const auto pinned = co_await bind_programs_.pin(name, *rule);
    if (pinned) {
        add_bind_programs(content, *rule);
        co_return Result<void>{};
    }
    if (pinned.error().code == ErrorCode::Unreachable) co_return std::unexpected(pinned.error());
    if (confines_ports_) co_return Result<void>{};
    if (bind_programs_.usable() && options.warn)
        options.warn(fmt::format("'{}' is not kept to its port: {}", name, pinned.error().message), name);
    if (state::Origins(own_).here(record)) co_return Result<void>{};
    co_return check_remote_port(options.remote_spin, record, false);
}

// A unit may have other programs than its process's record asks for: the record has changed since, or is
// gone.
void Reconciler::Impl::tidy_ports() {
    if (stopping || !adopted_all_) return;
    auto unused = bind_programs_.pinned();
    unused.erase(bind_rule_name({}));
    if (unused.empty()) return;
    for (const auto name : agreed().processes_on(options.node))
        if (const auto* record = record_of(name))
            if (const auto rule = bind_rule(*record)) unused.erase(bind_rule_name(*rule));
    for (const auto& [name, slot] : slots_)
        if (slot.unit || slot.busy) unused.erase(slot.bind_rule);
    if (unused.empty()) return;
    asio::co_spawn(loop_, report_unpin(shared_from_this(), bind_programs_.unpin(unused)),
                   net::ReportFailure("removing the programs of ports"));
}

asio::awaitable<void> Reconciler::Impl::report_unpin(std::shared_ptr<Impl> /* keeps it alive */,
                                                     asio::awaitable<Result<void>> unpin) {
    const auto done = co_await std::move(unpin);
    if (!done && !stopping)
        net::log_warning(
            fmt::format("programs that kept processes to ports stay, though no process needs them: {}",
                        done.error().message),
            {{"FLEET_HINT", done.error().hint}});
}

} // namespace p2prc::process
