#include "process/supervisor.h"

#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;

// Of a process that another node has spun. A deployer that is not there, or is not as it should be, is no
// matter of what is allowed.
Result<void> ProcessSupervisor::permitted_deployer(const ProcessRecord& record) const {
    const auto& strategy = record.spec.deploy.strategy;
    if (strategy.empty()) return {};
    const auto deployer = node_->deployments.deployer(strategy);
    if (!deployer) return {};
    const auto& options = node_->options;
    return check_remote_deployer(options.remote_spin, options.remote_deployers, deployer->as, record.spec,
                                 options.node);
}

// Of another node.
bool ProcessSupervisor::allowed(const ProcessRecord& record) const {
    return check_remote_spin(node_->options.remote_spin, record.spec, node_->options.node) &&
           permitted_deployer(record);
}

// A revision is deployed while the one before it runs on, which only then makes way. What is not allowed here
// is refused at its start, after which the one before runs again.
bool ProcessSupervisor::deploys_first(const Facts& now, Act what) {
    if (what != Act::Restart || !unit_.alive() || !now.status || is_deployed(*now.record)) return false;
    if (now.status->revision == 0 || now.record->revision <= now.status->revision) return false;
    if (records().origin_of(*now.record) == Origin::Remote && !allowed(*now.record)) return false;
    // The data of what was spun here is not shown to a deployer of another node's either; its start says so.
    if (now.record->spec.run.data && records().origin_of(*now.record) == Origin::Remote &&
        node_->options.remote_spin != RemoteSpin::Any) {
        const auto noted = node_->options.data.note(name_);
        if (!noted || !*noted || !(*noted)->remote) return false;
    }
    auto status = draft(now);
    begin_update(status, *now.record);
    // Without one to fall back on nothing is lost by a stop, and its end is told as any other.
    if (!status.update || !is_under_way(*status.update)) return false;
    status.revision = now.status->revision; // that still runs
    node_->write(status);
    deploy(now);
    return true;
}

bool ProcessSupervisor::is_deployed(const ProcessRecord& record) const {
    return record.spec.deploy.strategy.empty() || node_->deployments.results().find(record);
}

// Whoever stops or kills it meanwhile is not kept waiting for that, so it is no operation of its own.
void ProcessSupervisor::deploy(const Facts& now) {
    const auto& record = *now.record;
    const auto origin = records().origin_of(record);
    Deployment::Maker maker{
        origin, origin == Origin::Local ? "process " + name_ : "node " + records().share_of(record).maker,
        records().slice_of(record)};
    Deployment::Events events;
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    events.says = [weak](std::string words) {
        if (const auto self = weak.lock()) self->deployment_says(std::move(words));
    };
    events.over = [weak](std::optional<StopReason> failure) {
        if (const auto self = weak.lock()) self->deployment_over(std::move(failure));
    };
    deployment_ = std::make_shared<Deployment>(node_->deployments, node_, record, node_->options.node,
                                               std::move(maker), std::move(events));
    deployed_change_ = wanted(now).change;
    deployment_->begin();
}

bool ProcessSupervisor::is_still_to_deploy() const {
    const auto now = facts();
    if (!now.record || now.elsewhere || now.killed || now.paused) return false;
    // What this machine allows may have changed since it began.
    if (records().origin_of(*now.record) == Origin::Remote && !allowed(*now.record)) return false;
    const auto want = wanted(now);
    const auto& record = deployment_->record();
    return want.desired == Desired::Running && !want.killed && want.change == deployed_change_ &&
           now.record->id == record.id && now.record->spec == record.spec &&
           now.record->deployment == record.deployment;
}

void ProcessSupervisor::deployment_says(std::string words) {
    if (node_->stopping || !deployment_ || !is_still_to_deploy()) return;
    if (unit_.alive()) return; // the revision before it serves on
    auto status = draft(facts());
    status.waits_for = std::move(words);
    node_->write_state(std::move(status), ProcessState::Deploying);
}

void ProcessSupervisor::deployment_over(std::optional<StopReason> failure) {
    if (node_->stopping || !deployment_) return;
    const bool wanted_still = is_still_to_deploy();
    deployment_.reset();
    if (failure && wanted_still) {
        const auto now = facts();
        auto status = draft(now);
        status.applied = wanted(now).change;
        status.waits_for.clear();
        auto reason = node_->stamped(std::move(*failure), epoch_of(now));
        if (unit_.alive()) {
            give_up_update(status, std::move(reason));
        } else {
            // The revision before it may have ended meanwhile.
            take(state_ == SupervisorState::Preparing ? SupervisorEvent::Refused
                                                      : SupervisorEvent::NotRunning);
            status.revision = now.record->revision;
            status.reason = std::move(reason);
            if (!take_back(status, now)) node_->write_state(std::move(status), ProcessState::Failed);
        }
    }
    node_->look_again(name_);
}

// Nobody wants it any more, or something else is wanted.
asio::awaitable<bool> ProcessSupervisor::end_deployment() {
    const auto self = shared_from_this();
    const auto ended = std::exchange(deployment_, nullptr);
    co_await ended->cancel();
    if (state_ == SupervisorState::Preparing) take(SupervisorEvent::NotRunning);
    co_return !node_->stopping;
}

} // namespace p2prc::process
