// The operations that find something out: how a run ended, and whether one has.
#include "core/remedy_plan.h"
#include "core/text.h"
#include "process/bind_failure.h"
#include "process/exec_failure.h"
#include "process/owner_failure.h"
#include "process/supervisor.h"
#include "process/unit_names.h"
#include "state/owner_limits.h"

#include <fmt/format.h>

namespace p2prc::process {

namespace asio = boost::asio;

namespace {

bool ended_by_itself(StopKind kind) noexcept {
    return kind == StopKind::ExitCode || kind == StopKind::Finished || kind == StopKind::Signal ||
           kind == StopKind::CoreDump || kind == StopKind::StartLimit;
}

// Of a step before the command is executed.
std::string words_for_step(std::string_view step, const ProcessSpec& spec) {
    if (step == "CREDENTIALS") return credentials_failure(spec);
    if (step == "USER" || step == "GROUP") return user_failure(spec);
    return {};
}

} // namespace

// Before it could have done anything that another node would do otherwise.
bool ProcessSupervisor::ended_early(const SeenEnd& seen) const {
    if (!seen.end || !seen.watched) return false;
    // Over before it was seen running.
    if (seen.end->invocation != run_) return true;
    const auto end = seen.end->changed_at;
    constexpr auto longest = std::chrono::duration_cast<std::chrono::microseconds>(early_end).count();
    return run_began_ != 0 && end >= run_began_ && end - run_began_ < static_cast<std::uint64_t>(longest);
}

asio::awaitable<bool> ProcessSupervisor::conclude(Facts now) {
    // Two things at once: whether the machine goes down, and that all signals before the answer have been
    // seen.
    const auto state = co_await node_->systemd.system_state();
    if (!state) retry_later();
    if (!state || node_->stopping || *state == "stopping") co_return false;
    const auto seen = unit_.take_end();
    if (!seen.end && seen.goes_on) co_return true;
    // It takes a moment to find out how it ended, which must not count as staying up.
    update_watch_.timer.reset();
    const bool early = ended_early(seen);
    const auto unit = serving_name();
    if (!seen.end) {
        // Before its end is reported as unknown.
        const auto there = co_await node_->run_end.still_there(unit);
        if (!there) retry_later();
        if (!there) co_return false;
        if (*there) {
            unit_.there_after_all(**there);
            co_return true;
        }
    }
    // How it ended takes a moment to find out; that it does not run any more is true from now on.
    if (now.status && is_executed(*now.status)) {
        auto ended = draft(now);
        ended.pid = 0;
        node_->write_state(std::move(ended), ProcessState::Stopping);
    }
    const auto restart = now.record ? std::optional(now.record->spec.run.restart) : std::nullopt;
    auto result = co_await node_->run_end.of(unit, now.id, seen, restart);
    explain(result.reason, now, seen.goes_on);
    if (node_->stopping) co_return false;
    take(seen.goes_on ? SupervisorEvent::Executed : SupervisorEvent::NotRunning);
    if (!seen.goes_on && !records().record(name_))
        co_return true; // nobody to tell; what is left over goes next
    auto status = draft(now);
    const auto after = result.known ? state_after(result.reason.kind) : ProcessState::Stopped;
    status.reason = node_->stamped(std::move(result.reason), epoch_of(now));
    if (result.at) status.reason->at = rfc3339_of(*result.at);
    if (seen.unit) status.restarts = seen.unit->restarts;
    if (now.record && !now.record->spec.remedies.empty()) {
        if (!status.remedy) status.remedy = RemedyProgress();
        begin_run(*status.remedy);
        status.remedy->early = early;
    }
    if (take_back(status, now)) co_return true;
    node_->write_state(std::move(status), seen.goes_on ? reported_state(state_) : after);
    co_return true;
}

// With its command, whoever says it.
ProcessSpec ProcessSupervisor::run_spec(const ProcessRecord& record) const {
    const auto deployed = node_->deployments.results().find(record);
    return deployed ? with_result(record, *deployed).spec : record.spec;
}

// Empty where its file says it. A report to the registry is short, whatever an image has.
std::string ProcessSupervisor::deployed_command(const ProcessRecord& record) const {
    constexpr std::size_t longest = 1024;
    if (!record.spec.run.command.empty() || record.spec.deploy.strategy.empty()) return {};
    return std::string(
        text::cut(command_text(run_spec(record).run), longest)); // whoever shows it makes it fit
}

// What the table of reasons cannot know.
void ProcessSupervisor::explain(StopReason& reason, const Facts& now, bool goes_on) {
    if (!now.record) return;
    // The child that should have kept it to its ports may have failed before it came to that.
    if (reason.step == ports_step)
        if (const auto step = failed_step(reason.log); !step.empty()) {
            auto log = std::move(reason.log);
            reason = start_failed_at(step);
            reason.log = std::move(log);
        }
    const auto& spec = now.record->spec;
    // podman has told nothing to systemd, whatever the file says of the process.
    if (reason.kind == StopKind::NotReady && reason.step == probe_name(Probe::Kind::Notify) &&
        !is_by(spec.ready.probe, Probe::Kind::Notify)) {
        reason.kind = StopKind::Timeout;
        reason.step = "start";
        reason.detail = "podman did not start its container in time";
    }
    if (reason.kind == StopKind::StartFailed && reason.step == "EXEC")
        if (auto words = exec_failure(run_spec(*now.record), records().origin_of(*now.record), reason.log);
            !words.empty())
            reason.detail = std::move(words);
    if (reason.kind == StopKind::StartFailed)
        if (auto words = words_for_step(reason.step, spec); !words.empty()) reason.detail = std::move(words);
    // Whatever systemd enforces it by, BPF programs of ours or its own.
    const auto rule = bind_rule(*now.record);
    if (ended_by_itself(reason.kind) && rule && node_->ports.confines())
        if (auto words = bind_failure(spec, *rule, reason.log); !words.empty())
            reason.detail += (reason.detail.empty() ? "" : "; ") + words;
    const bool remote = records().origin_of(*now.record) == Origin::Remote;
    const auto owner = remote ? records().spinner_of(*now.record) : std::string();
    if (const auto limit = remote ? state::OwnerLimits(node_->own).of(owner) : std::nullopt)
        if (auto words = owner_failure(reason, limit->limits, owner); !words.empty())
            reason.detail += (reason.detail.empty() ? "" : "; ") + words;
    if (goes_on || !is_tried_again(reason.kind) || spec.run.restart == Restart::No) return;
    if (matching_remedy(spec.remedies, reason) != 0) return; // what comes next is decided by that one
    if (is_taken_back(draft(now), reason.kind)) return;      // what runs next is the revision before
    const auto pause = std::chrono::duration_cast<std::chrono::seconds>(next_pause(reason.kind));
    if (pause.count() > 0) reason.detail += fmt::format("{}{} s", next_attempt_words, pause.count());
}

// A command may end as soon as it is executed, and whoever waits for it to run goes by what is written. What
// systemd did before it answers has been told then.
asio::awaitable<bool> ProcessSupervisor::confirm() {
    const auto invocation = unit_.view()->invocation;
    const auto state = co_await node_->systemd.system_state();
    if (!state) retry_later();
    if (!state || node_->stopping) co_return false;
    unit_.confirm(invocation);
    co_return true;
}

// A unit that fails is dead for an instant before an automatic restart: wait until systemd has reported
// everything.
asio::awaitable<bool> ProcessSupervisor::forget() {
    const auto state = co_await node_->systemd.system_state();
    if (!state) retry_later();
    if (!state || node_->stopping || *state == "stopping") co_return false;
    if (unit_.alive()) co_return true;
    unit_.forget_end();
    take(SupervisorEvent::Forgotten);
    for (const auto& key : records().left_over(name_))
        node_->own.erase(key);
    co_return true;
}

// systemd forgets a run when it has started the next one; what PID 1 logged about it is in the journal.
asio::awaitable<bool> ProcessSupervisor::recall(Facts now) {
    const auto before = co_await node_->run_end.before(*unit_.view(), now.id);
    if (node_->stopping) co_return false;
    if (!before) co_return true;
    auto status = draft(now);
    status.reason = node_->stamped(before->reason, epoch_of(now));
    if (before->at) status.reason->at = rfc3339_of(*before->at);
    if (take_back(status, now)) co_return true;
    node_->write(status);
    co_return true;
}

} // namespace p2prc::process
