#include "process/supervisor.h"

#include <utility>

namespace p2prc::process {

HealthTarget ProcessSupervisor::health_target(const ProcessRecord& record, Turn turn, std::string run) const {
    const auto origin = records().origin_of(record);
    auto share = origin == Origin::Local
                     ? JobShare{JobShare::Kind::Probes, name_}
                     : JobShare{JobShare::Kind::RemoteProbes, records().share_of(record).maker};
    return {name_,
            turn,
            std::move(run),
            std::make_shared<const ProcessSpec>(record.spec),
            record.port,
            origin,
            std::move(share),
            records().slice_of(record),
            node_->deployments.results().find(record)};
}

// Watches the run that `run_` is. True: it is ready already.
bool ProcessSupervisor::watch(const Facts& now) {
    // Without a record nobody knows what it should do.
    if (!now.record) return true;
    // What serves while the next revision is started beside it is the one before.
    auto running = *now.record;
    if (const auto* former = now.status ? former_revision(running, now.status->revision) : nullptr)
        apply_revision(running, Revision(*former));
    const auto& spec = running.spec;
    // systemd has waited for a notification before it said that the unit is up.
    const bool ready =
        is_by(spec.ready.probe, Probe::Kind::Notify) || (now.status && now.status->ready_run == run_);
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    HealthEvents events;
    events.ready = [weak, run = run_] {
        if (const auto self = weak.lock()) self->became_ready(run);
    };
    events.lacks = [weak, run = run_](const std::string& what) {
        if (const auto self = weak.lock()) self->lacks(run, what);
    };
    events.not_ready = [weak, run = run_](std::string step, std::string answer) {
        if (const auto self = weak.lock())
            self->check_failed({run, StopKind::NotReady, std::move(step), std::move(answer)});
    };
    events.unhealthy = [weak, run = run_](std::string step, std::string answer) {
        if (const auto self = weak.lock())
            self->check_failed({run, StopKind::Unhealthy, std::move(step), std::move(answer)});
    };
    watch_ = node_->health.watch(health_target(running, turn_, run_), std::move(events), ready);
    return ready;
}

void ProcessSupervisor::became_ready(const std::string& run) {
    if (node_->stopping || state_ != SupervisorState::Starting || run != run_) return;
    take(SupervisorEvent::BecameReady);
    auto status = draft(facts());
    status.ready_run = run;
    status.waits_for.clear();
    note_ready(status);
    node_->write_state(std::move(status), reported_state(state_));
    watch_update(facts());
}

void ProcessSupervisor::lacks(const std::string& run, const std::string& what) {
    if (node_->stopping || state_ != SupervisorState::Starting || run != run_) return;
    auto status = draft(facts());
    status.waits_for = what;
    node_->write(status);
}

void ProcessSupervisor::check_failed(FailedCheck check) {
    failed_check_ = std::move(check);
    node_->look_again(name_); // copied: this may be the end of what is watched
}

} // namespace p2prc::process
