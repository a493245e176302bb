// Updates: from one revision of its file to the next, and back where the next one was not kept.
#include "core/spec_changes.h"
#include "net/clock.h"
#include "process/container_unit.h"
#include "process/supervisor.h"
#include "process/unit_names.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;

namespace {

// Somebody stopped it, or its machine went down: that says nothing of the revision.
bool says_nothing(StopKind kind) noexcept {
    return kind == StopKind::StoppedOutside || kind == StopKind::Stopped || kind == StopKind::Killed ||
           kind == StopKind::Shutdown || kind == StopKind::PowerLoss || kind == StopKind::Fenced;
}

// What is under way is about the revision that was started last.
bool is_about(const UpdateProgress& update, std::uint32_t revision) noexcept {
    return revision == (update.phase == UpdatePhase::RollingBack ? update.fallback : update.revision);
}

} // namespace

void enter(UpdateProgress& update, UpdatePhase phase) {
    update.phase = phase;
    update.since = net::now_rfc3339();
}

bool rolls_back(const Facts& now) noexcept {
    return now.record && now.status && now.status->update &&
           now.status->update->phase == UpdatePhase::RollingBack &&
           now.status->update->fallback == now.record->revision &&
           now.status->revision != now.record->revision;
}

// The registry says by the count of changes that it is to be restarted. A later revision without such a
// change is believed only as far as nothing in it needs a restart.
bool is_adjustable(const Facts& now) {
    if (!now.record || !now.status || now.record->revision <= now.status->revision) return false;
    const auto* running = former_revision(*now.record, now.status->revision);
    return running && spec_digest(running->spec) == now.status->digest &&
           running->deployment == now.record->deployment &&
           !restarts(spec_changes(running->spec, now.record->spec));
}

// At each start of it: which update this is the beginning of, or goes on with.
void ProcessSupervisor::begin_update(ProcessStatus& status, const ProcessRecord& record) {
    status.revision = record.revision;
    const auto* before = status.update ? &*status.update : nullptr;
    if (before && before->phase == UpdatePhase::RollingBack && before->fallback == record.revision) return;
    if (before && before->revision == record.revision && record.outcome == Outcome::Pending) {
        if (before->phase == UpdatePhase::Confirming) enter(*status.update, UpdatePhase::Replacing);
        return;
    }
    if (record.outcome != Outcome::Pending) return;
    const auto* good = last_good_revision(record);
    // Without one that was good there is nothing to fall back on.
    if (!good) return status.update.reset();
    UpdateProgress update{.revision = record.revision, .fallback = good->number, .since = net::now_rfc3339()};
    // One that was not found good yet has begun with the data of the last good one, and makes way now. What
    // was put back is in use again, and is copied again.
    if (before && is_under_way(*before) && before->phase != UpdatePhase::RollingBack &&
        before->fallback == good->number) {
        update.data = before->data;
        update.data_detail = before->data_detail;
        const auto* other = former_revision(record, before->revision);
        if (record.spec.update.snapshot && update.data == DataCopy::None && other &&
            !other->spec.update.snapshot) {
            update.data = DataCopy::NotCopied;
            update.data_detail =
                fmt::format("revision {}, which was not good yet, has had it meanwhile", other->number);
        }
    }
    status.update = std::move(update);
}

// An update that could not be taken back as its file asks for is refused while the revision before it runs
// on.
bool ProcessSupervisor::refuses_first(const Facts& now, Act what) {
    if (what != Act::Restart || !unit_.alive() || !now.record || !now.status) return false;
    if (!now.record->spec.update.snapshot || now.status->revision == 0 ||
        now.record->revision <= now.status->revision)
        return false;
    const auto able = node_->options.data.check_exchange();
    if (able || able.error().code != ErrorCode::NotSupported) return false;
    auto status = draft(now);
    begin_update(status, *now.record);
    // Without one to go back to nothing is copied.
    if (!status.update || !is_under_way(*status.update)) return false;
    status.revision = now.status->revision; // that still runs
    status.applied = wanted(now).change;
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = "data";
    reason.detail = fmt::format("{}: {}", able.error().message, able.error().hint);
    give_up_update(status, node_->stamped(std::move(reason), epoch_of(now)));
    node_->look_again(name_);
    return true;
}

// Nothing of the process runs, and the next revision has not been started yet. It may run here, and with this
// data: it is copied as its user. Where that takes more than a moment, the update goes on without. False:
// systemd cannot be asked, or this is the end of p2prcd; it is tried again.
asio::awaitable<bool> ProcessSupervisor::copy_data(ProcessRecord record) {
    auto status = draft(facts());
    if (!record.spec.update.snapshot || !status.update || status.update->phase != UpdatePhase::Replacing ||
        status.update->revision != record.revision || status.update->data != DataCopy::None)
        co_return true;
    // A power cut may have taken back what was written down of it, and not what the next revision has done.
    const DataCopyNote note{record.id, record.revision};
    Result<void> done;
    if (!node_->options.data.has_copy(name_, note)) {
        done = co_await make_copy(std::move(record));
        if (node_->stopping || was_interrupted()) co_return false;
        // systemd is not there: perhaps the machine goes down.
        if (!done && done.error().code == ErrorCode::Unreachable) {
            retry_later();
            co_return false;
        }
        if (done) done = node_->options.data.finish_copy(name_, note);
    }
    status = draft(facts()); // that took a moment
    if (!status.update) co_return true;
    status.update->data = done ? DataCopy::Copied : DataCopy::NotCopied;
    if (!done) status.update->data_detail = done.error().message;
    node_->write(status);
    co_return true;
}

asio::awaitable<Result<void>> ProcessSupervisor::make_copy(ProcessRecord record) {
    if (!node_->options.data.is_there(name_)) co_return fail(ErrorCode::NotFound, "there was none");
    const auto deployed = node_->deployments.results().find(record);
    auto content = copy_unit(deployed && deployed->in_container() ? as_superuser(record) : record,
                             records().origin_of(record));
    if (!content) co_return std::unexpected(content.error());
    set_slice(*content, records().slice_of(record));
    // That of an earlier p2prcd may still be at it.
    const auto unit = copy_unit_name(name_);
    const auto stopped = co_await node_->systemd.stop(unit, share_);
    if (!stopped) co_return std::unexpected(stopped.error());
    if (auto begun = node_->options.data.begin_copy(name_); !begun) co_return begun;
    const auto since = std::chrono::steady_clock::now();
    const auto result = co_await run_helper(unit, std::move(*content));
    if (!result) co_return std::unexpected(result.error());
    if (*result == "done") co_return Result<void>{};
    if (*result == "timeout" || std::chrono::steady_clock::now() - since >= copy_timeout)
        co_return fail(ErrorCode::Failed, fmt::format("that takes longer than {} s", copy_timeout.count()));
    co_return fail(ErrorCode::Failed, fmt::format("journalctl -u {} has the reason", unit));
}

// The revision that was not kept is stopped, and the one before is not started yet.
void ProcessSupervisor::put_data_back(ProcessStatus& status) {
    if (status.update->data != DataCopy::Copied) return;
    const auto done = node_->options.data.put_back(name_);
    status.update->data = done ? DataCopy::PutBack : DataCopy::NotPutBack;
    if (!done) {
        status.update->data_detail = done.error().message;
        node_->warn(fmt::format("the data of '{}' was not put back: {}", name_, done.error().message), name_);
    }
    node_->write(status);
}

// It has become ready.
void ProcessSupervisor::note_ready(ProcessStatus& status) {
    if (status.update && is_under_way(*status.update) && is_about(*status.update, status.revision)) {
        if (status.update->phase == UpdatePhase::Replacing)
            return enter(*status.update, UpdatePhase::Confirming);
        if (status.update->phase == UpdatePhase::Confirming) return; // started again; it has to stay up first
        if (status.update->phase == UpdatePhase::RollingBack) enter(*status.update, UpdatePhase::RolledBack);
    }
    if (status.revision != 0) status.good = status.revision;
}

bool ProcessSupervisor::is_taken_back(const ProcessStatus& status, StopKind kind) noexcept {
    return status.update && is_under_way(*status.update) &&
           status.update->phase != UpdatePhase::RollingBack && is_about(*status.update, status.revision) &&
           !says_nothing(kind);
}

// It has ended, for the reason that `status` has, and that is not written yet. True: the revision before is
// started again, and that is written.
bool ProcessSupervisor::take_back(ProcessStatus& status, const Facts& now) {
    if (!status.update || !is_under_way(*status.update) || !is_about(*status.update, status.revision) ||
        says_nothing(status.reason->kind))
        return false;
    auto& update = *status.update;
    if (update.phase == UpdatePhase::RollingBack) {
        enter(update, UpdatePhase::Failed);
        return false;
    }
    // What serves nobody may run to its end.
    if (status.reason->kind == StopKind::Finished && now.record && !now.record->port) {
        enter(update, UpdatePhase::Good);
        status.good = status.revision;
        return false;
    }
    update.reason = *status.reason;
    update.reason->log.clear(); // they are in the reason of the stop
    status.reason = update_failed(update, *status.reason);
    enter(update, UpdatePhase::RollingBack);
    node_->write_state(std::move(status), ProcessState::Starting);
    return true;
}

// It failed before anything was stopped: the revision before runs on.
void ProcessSupervisor::give_up_update(ProcessStatus& status, StopReason reason) {
    if (!status.update) return;
    status.update->reason = std::move(reason);
    // What runs on may be one that was not confirmed: then it makes way, too.
    const bool good = status.revision == status.update->fallback;
    enter(*status.update, good ? UpdatePhase::RolledBack : UpdatePhase::RollingBack);
    node_->write(status);
}

// The time that it has to become ready, or to stay up.
void ProcessSupervisor::watch_update(const Facts& now) {
    const auto* update = now.status && now.status->update ? &*now.status->update : nullptr;
    std::optional<std::chrono::milliseconds> limit;
    if (update && now.record && unit_.alive() && is_about(*update, now.status->revision)) {
        if (update->phase == UpdatePhase::Confirming && state_ == SupervisorState::Ready)
            limit = node_->options.confirm;
        // With a limit of its own, Health sees to it, or systemd.
        if (is_under_way(*update) && state_ == SupervisorState::Starting && unit_.view()->up() &&
            !ready_limit(now.record->spec.ready))
            limit = node_->options.update_limit;
    }
    if (!limit) return update_watch_.timer.reset();
    if (update_watch_.timer && update_watch_.run == run_ && update_watch_.phase == update->phase) return;
    const auto timer = std::make_shared<asio::steady_timer>(node_->loop, *limit);
    update_watch_ = {timer, run_, update->phase};
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    timer->async_wait([weak, timer](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self && !error && self->update_watch_.timer == timer) self->update_due();
    });
}

void ProcessSupervisor::update_due() {
    update_watch_.timer.reset();
    const auto now = facts();
    if (node_->stopping || !now.record || !now.status || !now.status->update || update_watch_.run != run_ ||
        now.status->update->phase != update_watch_.phase)
        return;
    // It may have been started again since it was ready.
    const bool ready = state_ == SupervisorState::Ready;
    if (update_watch_.phase == UpdatePhase::Replacing ||
        (update_watch_.phase == UpdatePhase::Confirming && !ready)) {
        const auto what =
            now.status->waits_for.empty() ? std::string("it was not ready") : now.status->waits_for;
        return check_failed({run_, StopKind::NotReady, now.record->port ? "port" : "",
                             fmt::format("{}; an update has {} s for that, where ready.timeout says nothing "
                                         "else",
                                         what, node_->options.update_limit.count() / 1000)});
    }
    auto status = draft(now);
    if (update_watch_.phase == UpdatePhase::Confirming) {
        enter(*status.update, UpdatePhase::Good);
        status.good = status.revision;
    } else {
        // The old one may take as long as it likes to be ready, as it did before.
        enter(*status.update, UpdatePhase::Failed);
    }
    node_->write(status);
}

// A revision that needs no restart.
asio::awaitable<bool> ProcessSupervisor::adjust(Facts now) {
    if (!unit_.view()) co_return true;
    const auto& record = *now.record;
    const auto origin = records().origin_of(record);
    // Its checks run as the process's user.
    auto running = record;
    if (const auto* former = former_revision(record, now.status->revision)) apply_revision(running, *former);
    if (origin == Origin::Remote && records().origin_of(running) == Origin::Local &&
        node_->options.remote_spin != RemoteSpin::Any) {
        node_->warn(
            fmt::format("revision {} of '{}' is not applied: it was not spun on this machine, and what "
                        "runs was",
                        record.revision, name_),
            name_);
        co_return false;
    }
    if (origin == Origin::Remote)
        if (const auto allowed =
                check_remote_spin(node_->options.remote_spin, record.spec, node_->options.node);
            !allowed) {
            node_->warn(fmt::format("revision {} of '{}' is not applied: {}", record.revision, name_,
                                    allowed.error().message),
                        name_);
            co_return false;
        }
    // The data that it keeps is noted with its specification.
    const auto noted = record.spec.run.data
                           ? node_->options.data.prepare(record, origin, node_->options.remote_spin)
                           : Result<std::string>();
    if (!noted) {
        node_->warn(fmt::format("revision {} of '{}' is not applied: {}", record.revision, name_,
                                noted.error().message),
                    name_);
        co_return false;
    }
    const auto set =
        co_await node_->systemd.set_properties(serving_name(), limit_properties(record.spec.limits));
    if (node_->stopping) co_return false;
    if (!set) {
        node_->warn(fmt::format("cannot change the limits of '{}': {}", name_, set.error().message), name_);
        retry_later();
        co_return false;
    }
    auto status = draft(now);
    if (status.update && is_under_way(*status.update) && is_about(*status.update, status.revision))
        status.update->revision = record.revision;
    else
        status.update = UpdateProgress{.revision = record.revision,
                                       .fallback = status.revision,
                                       .phase = UpdatePhase::Good,
                                       .since = net::now_rfc3339()};
    if (status.good == status.revision) status.good = record.revision;
    status.revision = record.revision;
    status.digest = record.digest;
    status.command = deployed_command(record);
    node_->write(status);
    watch_.reset(); // its checks may be others
    if (state_ == SupervisorState::Ready) (void)watch(facts());
    co_return true;
}

} // namespace p2prc::process
