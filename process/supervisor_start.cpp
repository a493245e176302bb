#include "net/cgroups.h"
#include "net/spawn.h"
#include "process/container_unit.h"
#include "process/data_ownership.h"
#include "process/supervisor.h"
#include "process/unit_names.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <exception>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;

// What is not allowed here, or cannot be written down, is refused at its step.
Result<void> ProcessSupervisor::permitted(const Facts& now) {
    const auto& record = *now.record;
    const auto& options = node_->options;
    const auto origin = records().origin_of(record);
    const auto refused = [&](const char* step, const Error& error) -> Result<void> {
        refuse(now, step, error);
        return std::unexpected(error);
    };
    if (origin == Origin::Remote) {
        if (const auto allowed = check_remote_spin(options.remote_spin, record.spec, options.node); !allowed)
            return refused(refused_step, allowed.error());
        if (const auto allowed = check_remote_port(options.remote_spin, record, node_->ports.confines());
            !allowed)
            return refused(refused_step, allowed.error());
        if (const auto allowed = permitted_deployer(record); !allowed)
            return refused(refused_step, allowed.error());
    }
    if (const auto free = node_->check_name(name_); !free) return refused("name", free.error());
    if (const auto free = options.check_port(record.port.value_or(0), name_); !free)
        return refused("port", free.error());
    return {};
}

// What its owner may use here is in effect. False: it is not, and is tried again; it starts then.
asio::awaitable<bool> ProcessSupervisor::limited(Facts now) {
    if (records().origin_of(*now.record) == Origin::Local) co_return true;
    const auto owner = records().spinner_of(*now.record);
    const auto set = co_await node_->owner_slices.ensure(owner);
    if (node_->stopping) co_return false;
    if (set) co_return true;
    auto status = draft(facts());
    status.waits_for = fmt::format("the limits of '{}' cannot be set: {} (p2prc owner limit {} sets others)",
                                   owner, set.error().message, owner);
    node_->write(status);
    retry_later();
    co_return false;
}

Result<TransientUnit> ProcessSupervisor::unit_to_start(const Facts& now, Act what) {
    const auto& record = *now.record;
    const bool was_well = now.status && now.status->reason && now.status->reason->kind == StopKind::Unhealthy;
    const auto attempt = what == Act::Retry && !was_well ? Attempt::Again : Attempt::First;
    const auto deployed = node_->deployments.results().find(record);
    if (deployed)
        // What it has of data, or how it is stopped, may be new since it was deployed.
        if (auto fits = check_fit(record.spec, deployed->result); !fits) {
            refuse(now, "command", fits.error());
            return std::unexpected(fits.error());
        }
    const bool contained = deployed && deployed->in_container();
    const auto origin = records().origin_of(record);
    auto content = contained ? container_unit(record, *deployed, successor_ ? other_turn(turn_) : turn_,
                                              node_->options.node, origin, attempt)
                             : transient_unit(deployed ? with_result(record, *deployed) : record,
                                              node_->options.node, origin, attempt);
    if (!content) {
        refuse(now, "command", content.error());
        return content;
    }
    set_slice(*content, records().slice_of(record));
    if (deployed && !contained) add_result(*content, record.spec, *deployed);
    return content;
}

asio::awaitable<Result<void>> ProcessSupervisor::confine(Facts now, TransientUnit& content) {
    const auto rule = bind_rule(*now.record);
    if (!rule) co_return Result<void>{};
    (successor_ ? other_ : unit_).set_bind_rule(bind_rule_name(*rule));
    co_return co_await node_->ports.confine(name_, *now.record, *rule, content);
}

asio::awaitable<Result<void>> ProcessSupervisor::prepare_data(Facts now, Act what) {
    const auto& record = *now.record;
    const auto& data = node_->options.data;
    const auto noted = data.note(name_);
    const bool copied = noted && !*noted;
    const auto moved = data.prepare(record, records().origin_of(record), node_->options.remote_spin);
    if (!moved) co_return std::unexpected(moved.error());
    // Whether there is anything in it, its user alone can see.
    if (!moved->empty())
        node_->warn(fmt::format("the data directory of an earlier process '{}' is now {}", name_, *moved),
                    name_);
    // Somebody may have copied files into it while it was down. What only restarts, or was lost with the
    // machine, is not gone through each time. A user of the machine may share files with groups of theirs:
    // those are left alone once they have been used here.
    const bool was_down =
        what == Act::Start && !(now.status && lost_with_its_boot(*now.status, node_->options.boot_id));
    const bool all_its_own = record.spec.run.user.empty() || copied;
    const auto directory = was_down && all_its_own ? data.owned_directory(name_) : std::string();
    if (directory.empty()) co_return Result<void>{};
    if (const auto disowned = co_await disown_data(node_->systemd, name_, directory); !disowned)
        node_->warn(fmt::format("files that were copied into {} may stay out of reach of '{}': {}", directory,
                                name_, disowned.error().message),
                    name_);
    co_return Result<void>{};
}

// Whoever stops or kills it meanwhile does not wait for it.
asio::awaitable<Result<std::string>> ProcessSupervisor::run_helper(std::string unit, TransientUnit content) {
    helper_ = unit;
    auto result = co_await node_->systemd.start_transient(std::move(unit), std::move(content), share_);
    helper_.clear();
    co_return result;
}

bool ProcessSupervisor::is_still_to_start(const Facts& now) const {
    if (!now.record || now.elsewhere || now.killed || now.paused) return false;
    const auto want = wanted(now);
    return want.desired == Desired::Running && !want.killed && want.change == started_change_;
}

// Something may be wanted that cannot wait for what is under way.
void ProcessSupervisor::interrupt() {
    if (helper_.empty() || interrupted_ || is_still_to_start(facts())) return;
    interrupted_ = true;
    const auto end = [](std::shared_ptr<ProcessSupervisor> self, std::string unit) -> asio::awaitable<void> {
        (void)co_await self->node_->systemd.stop(std::move(unit), self->share_);
    };
    asio::co_spawn(node_->loop, end(shared_from_this(), helper_),
                   net::ReportFailure("ending what prepares a process"));
}

// What was prepared is not started then, and what is wanted now is done.
bool ProcessSupervisor::was_interrupted() {
    if (!interrupted_) return false;
    if (state_ == SupervisorState::Preparing) take(SupervisorEvent::NotRunning);
    return true;
}

// Of one with a root of its own, or in a container. Mostly there is nothing to make.
asio::awaitable<Result<void>> ProcessSupervisor::make_volumes(ProcessRecord record) {
    if (!record.spec.run.data) co_return Result<void>{};
    const auto deployed = node_->deployments.results().find(record);
    const auto volumes = deployed ? deployed->result.volumes : std::vector<std::string>();
    const bool mounted = deployed && deployed->in_container();
    const bool rooted = !record.spec.run.root.empty() || (deployed && !deployed->result.root.empty());
    if (volumes.empty() && (!rooted || node_->options.data.is_in_place(name_))) co_return Result<void>{};
    auto unit =
        volumes_unit(mounted ? as_superuser(record) : record, records().origin_of(record), volumes, mounted);
    if (!unit) co_return std::unexpected(unit.error());
    set_slice(*unit, records().slice_of(record));
    if (deployed) add_result(*unit, record.spec, *deployed);
    const auto name = volumes_unit_name(name_);
    const auto made = co_await run_helper(name, std::move(*unit));
    if (!made) co_return std::unexpected(made.error());
    if (*made == "done") co_return Result<void>{};
    co_return fail(ErrorCode::Failed, fmt::format("its directories could not be made ({})", *made),
                   fmt::format("journalctl -u {} has the reason", name));
}

// All that comes before its unit. `before`: as it was when the start was decided upon.
asio::awaitable<ProcessSupervisor::Prepared> ProcessSupervisor::prepare(Facts before, Facts now, Act what) {
    interrupted_ = false;
    started_change_ = wanted(now).change;
    if (!permitted(now)) co_return Prepared{};
    if (!co_await limited(now)) co_return Prepared{std::nullopt, false};
    const auto& spec = now.record->spec;
    // Its deployer may write to the data, and comes before all that is only for a process that starts now.
    const bool deployed = is_deployed(*now.record);
    if (spec.run.data && !deployed) {
        const auto prepared = co_await prepare_data(before, what);
        if (node_->stopping) co_return Prepared{};
        if (!prepared) {
            refuse(now, "data", prepared.error());
            co_return Prepared{};
        }
        if (!co_await copy_data(*now.record)) co_return Prepared{std::nullopt, interrupted_};
    }
    if (!deployed) {
        deploy(now);
        co_return Prepared{};
    }
    auto content = unit_to_start(now, what);
    if (!content) co_return Prepared{};
    const auto confined = co_await confine(now, *content);
    if (node_->stopping) co_return Prepared{};
    if (!confined && confined.error().code == ErrorCode::Unreachable) {
        retry_later();
        co_return Prepared{std::nullopt, false};
    }
    if (!confined) {
        refuse(now, refused_step, confined.error());
        co_return Prepared{};
    }
    const auto warn = [this](std::string_view limit, std::string_view why) {
        node_->warn(fmt::format("{} of '{}' has no effect: this machine's kernel {}", limit, name_, why),
                    name_);
    };
    if (spec.limits.memory_bytes && !net::limits_memory())
        warn("limits.memory", "does not limit memory (no memory controller; Raspberry Pi: "
                              "cgroup_enable=memory in cmdline.txt)");
    if (spec.limits.cpu_percent && !net::limits_cpu())
        warn("limits.cpu", "does not limit processor time (no cpu controller: CONFIG_CFS_BANDWIDTH)");
    if (spec.limits.tasks && !net::limits_tasks())
        warn("limits.tasks", "does not limit tasks (no pids controller: CONFIG_CGROUP_PIDS)");
    if (!spec.run.data) co_return Prepared{std::move(*content)};
    auto prepared = co_await prepare_data(before, what);
    if (prepared && !node_->stopping && !co_await copy_data(*now.record))
        co_return Prepared{std::nullopt, interrupted_};
    if (prepared && !node_->stopping) prepared = co_await make_volumes(*now.record);
    if (node_->stopping || was_interrupted()) co_return Prepared{};
    if (!prepared) {
        refuse(now, "data", prepared.error());
        co_return Prepared{};
    }
    co_return Prepared{std::move(*content)};
}

// Before it is written down that it starts: a unit that has failed, and a p2prcd that ended in between, would
// have the end of the run before count as that of the new one. False: it is to be decided anew what is to be
// done.
asio::awaitable<bool> ProcessSupervisor::forget_last_run() {
    if (unit_.alive()) co_return true;
    const bool loaded = unit_.view() != nullptr;
    (void)unit_.take_stopped();
    if (!loaded) co_return true;
    const auto before = facts();
    co_await node_->systemd.reset_failed(serving_name());
    if (node_->stopping || unit_.alive()) co_return false; // somebody else has started it
    unit_.gone();
    const auto now = facts();
    if (!before.record || !now.record) co_return false;
    const bool moved = before.elsewhere.has_value() != now.elsewhere.has_value();
    const bool paused = before.paused != now.paused; // or not any more
    co_return wanted(before) == wanted(now) && !moved && !paused;
}

asio::awaitable<bool> ProcessSupervisor::start(Act what) {
    if (!co_await forget_last_run()) co_return !node_->stopping;
    auto now = facts();
    if (!now.record) co_return true;
    // What ended unseen is not looked into any more when it is asked for anew.
    if (state_ == SupervisorState::Starting || state_ == SupervisorState::Ready ||
        state_ == SupervisorState::Stopping)
        take(SupervisorEvent::NotRunning);
    if (state_ == SupervisorState::Fenced) take(SupervisorEvent::EpochGranted);
    take(SupervisorEvent::StartOrdered);
    const auto before = now;
    auto status = draft(now);
    if (now.status && lost_with_its_boot(*now.status, node_->options.boot_id))
        status.reason = node_->lost_with_boot(*now.status, epoch_of(now));
    // Somebody has looked at it, or it came from another node.
    if (status.applied != wanted(now).change) status.remedy.reset();
    if (status.remedy) begin_run(*status.remedy);
    status.applied = wanted(now).change;
    status.digest = now.record->digest;
    status.command = deployed_command(*now.record);
    begin_update(status, *now.record);
    status.invocation.clear();
    status.restarts = 0;
    node_->write_state(std::move(status), reported_state(state_));
    status = draft(now); // as it is written
    if (status.update && status.update->phase == UpdatePhase::RollingBack) put_data_back(status);
    now.status = status;

    auto prepared = co_await prepare(before, now, what);
    if (node_->stopping) co_return false;
    if (!prepared.unit) co_return prepared.look_again;
    unit_.start_begins();
    if (what == Act::Retry)
        retry_.attempted = std::chrono::steady_clock::now();
    else
        retry_ = {};
    take(SupervisorEvent::Launched);
    if (waits_for_ready(*prepared.unit)) {
        launch_aside(std::move(now), std::move(*prepared.unit));
        co_return true;
    }
    auto result = co_await node_->systemd.start_transient(serving_name(), std::move(*prepared.unit), share_);
    co_return co_await launched(now, std::move(result));
}

// systemd's job to start it lasts until its notification has come. Whoever stops or kills it meanwhile is not
// kept waiting for that, so it is no operation of its own.
void ProcessSupervisor::launch_aside(Facts now, TransientUnit content) {
    const auto self = shared_from_this();
    const auto number = launch_ = ++last_launch_;
    const auto over = [self, number](const std::exception_ptr& error) {
        if (self->launch_ == number) self->launch_ = 0;
        if (error) self->failed(error);
    };
    try {
        asio::co_spawn(node_->loop, launch(std::move(now), std::move(content), number), over);
    } catch (...) {
        over(std::current_exception());
    }
}

asio::awaitable<void> ProcessSupervisor::launch(Facts now, TransientUnit content, std::uint64_t number) {
    const auto self = shared_from_this();
    auto result = co_await node_->systemd.start_transient(serving_name(), std::move(content), share_);
    if (launch_ != number) co_return; // it was stopped meanwhile
    launch_ = 0;
    // What is under way looks again when it is done.
    if (!busy_) operate(launched(std::move(now), std::move(result)));
}

asio::awaitable<bool> ProcessSupervisor::launched(Facts now, Result<std::string> result) {
    if (node_->stopping) co_return false;
    if (!result && result.error().code == ErrorCode::Unreachable) {
        retry_later();
        co_return false;
    }
    // A unit of ours that was not known: an earlier p2prcd was ended before it could write down that it
    // had started it. It is looked at as one that was found.
    if (!result && result.error().code == ErrorCode::Conflict && unit_.adopt()) co_return true;
    if (!result) {
        refuse(now, "unit", result.error());
        co_return true;
    }
    if (*result == "done") co_return true;
    if (*result == "timeout" && unit_.alive() && !unit_.view()->up()) {
        // The job's own limit ends no unit that asks for more and more time (EXTEND_TIMEOUT_USEC=).
        failed_check_ = FailedCheck{unit_.view()->invocation, StopKind::NotReady,
                                    std::string(probe_name(Probe::Kind::Notify)),
                                    "it did not tell systemd that it is ready (READY=1)"};
        co_return true;
    }
    // A job that failed tells nothing; the unit's own result does.
    if (!co_await conclude(now)) co_return false;
    const auto after = facts();
    if (after.status && after.status->state == ProcessState::Starting && !unit_.view())
        refuse(after, "unit",
               {ErrorCode::Failed, fmt::format("systemd's job to start it ended as '{}'", *result)});
    co_return true;
}

} // namespace p2prc::process
