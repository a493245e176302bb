#include "daemon/process/reconciler_impl.h"
#include "daemon/process/unit_names.h"
#include "daemon/state/origins.h"
#include "net/clock.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t log_lines = 10;
// The journal gets a process's last words by another way than we get its end.
constexpr auto journal_grace = 60ms;
constexpr auto retry_after = 2s;

asio::awaitable<void> pause(asio::any_io_executor loop, std::chrono::milliseconds time) {
    asio::steady_timer timer(loop, time);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

bool asked_for(StopKind kind) noexcept {
    return kind == StopKind::Stopped || kind == StopKind::Killed;
}

ProcessState state_after(StopKind kind) noexcept {
    const bool in_order = asked_for(kind) || kind == StopKind::Finished || kind == StopKind::StoppedOutside;
    return in_order ? ProcessState::Stopped : ProcessState::Failed;
}

// Now, for a time that is not known.
std::string rfc3339_of(std::uint64_t microseconds) {
    if (microseconds == 0) return net::now_rfc3339();
    return net::to_rfc3339(std::chrono::system_clock::time_point(std::chrono::microseconds(microseconds)));
}

} // namespace

Reconciler::Impl::Turn::Turn(std::shared_ptr<Impl> impl, std::string name)
    : impl_(std::move(impl))
    , name_(std::move(name)) {
    impl_->slots_[name_].busy = true;
}

Reconciler::Impl::Turn::~Turn() {
    const auto slot = impl_->slots_.find(name_);
    if (slot != impl_->slots_.end()) slot->second.busy = false;
}

void Reconciler::Impl::begin(const std::string& name, Act what, const Facts& now) {
    const auto self = shared_from_this();
    try {
        auto turn = std::make_unique<Turn>(self, name);
        auto over = [self, name, turn = std::move(turn)](const std::exception_ptr& error,
                                                         bool look_again) mutable {
            turn.reset();
            if (error)
                self->failed(name, error);
            else if (look_again)
                self->evaluate(name);
        };
        asio::co_spawn(loop_, run(name, what, now), std::move(over));
    } catch (...) {
        failed(name, std::current_exception());
    }
}

// Errors are values; an exception is want of memory or a mistake of ours. It costs one process one attempt.
void Reconciler::Impl::failed(const std::string& name, const std::exception_ptr& error) {
    if (stopping) return;
    std::string what = "an unknown exception";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        what = known.what();
    } catch (...) {
    }
    if (options.warn)
        options.warn(fmt::format("looking after '{}' failed and is tried again: {}", name, what), name);
    retry_later(name);
}

// True: something may be to be done after it.
asio::awaitable<bool> Reconciler::Impl::run(std::string name, Act what, Facts now) {
    const auto self = shared_from_this();
    bool look_again = true;
    if (what == Act::Conclude) look_again = co_await do_conclude(name, now);
    if (what == Act::Recall) look_again = co_await do_recall(name, now);
    if (what == Act::Confirm) look_again = co_await do_confirm(name);
    if (what == Act::Forget) look_again = co_await do_forget(name);
    if (what == Act::Stop || what == Act::Kill || what == Act::Restart)
        look_again = co_await do_stop(name, now, what);
    if (look_again && (what == Act::Start || what == Act::Restart) && !stopping) {
        const auto fresh = facts(name, slots_[name]);
        look_again = co_await do_start(name, fresh);
    }
    co_return look_again;
}

asio::awaitable<bool> Reconciler::Impl::do_start(std::string name, Facts now) {
    if (!now.record) co_return true;
    const auto& record = *now.record;
    auto status = draft(name, now);
    if (now.status && lost_with_its_boot(*now.status, options.boot_id))
        status.reason = stamped(boot_reason(options.ended_boot == now.status->boot_id), now);
    status.applied = wanted(record, now.local ? &*now.local : nullptr).change;
    status.digest = record.digest;
    status.invocation.clear();
    status.restarts = 0;
    write_state(status, ProcessState::Starting);
    now.status = status;

    const auto origin = Origins(own_).here(record) ? Origin::Local : Origin::Remote;
    if (const auto allowed =
            origin == Origin::Remote ? check_remote_spin(options.remote_spin, record.spec) : Result<void>();
        !allowed) {
        refuse(now, "policy", allowed.error());
        co_return true;
    }
    if (const auto free = check_name(name); !free) {
        refuse(now, "name", free.error());
        co_return true;
    }
    if (record.spec.run.data) {
        const auto moved = options.data.prepare(name, record.id, record.former_ids);
        if (!moved) {
            refuse(now, "data", moved.error());
            co_return true;
        }
        if (!moved->empty() && options.warn)
            options.warn(fmt::format("the data of an earlier process '{}' is now in {}", name, *moved), name);
    }
    {
        auto& slot = slots_[name];
        slot.end.reset();
        slot.outside = false;
    }
    const auto content = transient_unit(record, options.node, origin);
    if (!content) {
        refuse(now, "command", content.error());
        co_return true;
    }
    const auto unit = unit_name(name);
    const auto result = co_await systemd_.start_transient(unit, *content);
    if (stopping) co_return false;
    if (!result && result.error().code == ErrorCode::Unreachable) {
        retry_later(name);
        co_return false;
    }
    if (!result && result.error().code == ErrorCode::Conflict) {
        auto& slot = slots_[name];
        // A unit of ours that was not known: an earlier p2prcd was ended before it could write down that it
        // had started it. It is looked at as one that was found.
        slot.adopted = slot.unit && slot.unit->process != 0 && !slot.unit->dead();
        if (slot.adopted) co_return true;
    }
    if (!result) {
        refuse(now, "unit", result.error());
        co_return true;
    }
    if (*result == "done") co_return true;
    // A job that failed tells nothing; the unit's own result does.
    if (!co_await do_conclude(name, now)) co_return false;
    const auto after = facts(name, slots_[name]);
    if (after.status && after.status->state == ProcessState::Starting && !slots_[name].unit)
        refuse(after, "unit",
               {ErrorCode::Failed, fmt::format("systemd's job to start it ended as '{}'", *result)});
    co_return true;
}

asio::awaitable<bool> Reconciler::Impl::do_stop(std::string name, Facts now, Act what) {
    if (!slots_[name].unit) co_return true;
    const bool kill = what == Act::Kill;
    if (const auto running = id_of(name, *slots_[name].unit); kill && now.id != running) {
        // The unit is that of a killed process whose name another has taken since.
        now.record.reset();
        now.id = running;
        const auto* written = own_.get(keys::status(options.node, now.id));
        now.status.reset();
        if (written) now.status = status_from_json(*written);
    }
    const auto want = now.record ? wanted(*now.record, now.local ? &*now.local : nullptr) : Wanted{};
    write_state(draft(name, now), ProcessState::Stopping);
    const auto unit = unit_name(name);
    const auto result = co_await systemd_.stop(unit);
    if (stopping) co_return false;
    auto& slot = slots_[name];
    if (!result || (slot.unit && !slot.unit->dead())) {
        if (options.warn)
            options.warn(
                fmt::format("cannot stop '{}': {}", name,
                            result ? "systemd's job ended as '" + *result + "'" : result.error().message),
                name);
        retry_later(name);
        co_return false;
    }
    StopContext context;
    context.asked = kill ? StopContext::Asked::Kill : StopContext::Asked::Stop;
    context.by = kill ? now.buried_by : want.by;
    const auto reason = exit_reason(slot.end ? slot.end->result : UnitResult{}, context);
    slot.end.reset();
    slot.outside = false;
    if (slot.unit) co_await systemd_.reset_failed(unit);
    slots_[name].unit.reset();
    auto status = draft(name, now);
    if (now.record && what != Act::Restart) status.applied = want.change;
    status.reason = stamped(reason, now);
    write_state(std::move(status), ProcessState::Stopped);
    co_return true;
}

// Before it is said of a process that nobody knows how it ended, systemd is asked whether it did.
asio::awaitable<Result<bool>> Reconciler::Impl::still_missing(std::string name) {
    const auto all = co_await systemd_.units();
    if (!all) co_return std::unexpected(all.error());
    const auto found = std::ranges::find(*all, unit_name(name), &UnitView::unit);
    if (found == all->end() || found->dead()) co_return true;
    auto& slot = slots_[name];
    slot.unit = *found;
    slot.watched = true;
    if (found->up()) slot.executed = found->invocation;
    co_return false;
}

asio::awaitable<bool> Reconciler::Impl::do_conclude(std::string name, Facts now) {
    // Two things at once: whether the machine goes down, and that all signals before the answer have been
    // seen.
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping || *state == "stopping") co_return false;
    auto& slot = slots_[name];
    auto end = slot.end;
    slot.end.reset();
    const bool goes_on = slot.unit && !slot.unit->dead();
    const bool watched = slot.watched;
    const bool outside = slot.outside;
    const auto executed = slot.executed;
    const auto unit = slot.unit;
    slot.outside = false;
    if (!end && goes_on) co_return true;
    if (!end && slot.unit) end = slot.unit;
    slot.watched = goes_on;

    if (!end) {
        const auto missing = co_await still_missing(name);
        if (!missing) retry_later(name);
        if (!missing || !*missing) co_return missing.has_value();
    }
    // How it ended takes a moment to find out; that it does not run any more is true from now on.
    if (now.status && now.status->state == ProcessState::Running) {
        auto ended = draft(name, now);
        ended.pid = 0;
        write_state(std::move(ended), ProcessState::Stopping);
    }
    StopContext context;
    context.asked = outside ? StopContext::Asked::Outside : StopContext::Asked::Nobody;
    const auto unit_of_name = unit_name(name);
    std::optional<LoggedEnd> logged;
    if (!watched || !end) {
        // While it waits for its next run a unit still carries the invocation of the last.
        const bool next_run = goes_on && !(end && end->invocation == unit->invocation);
        const std::string running = next_run ? unit->invocation : "";
        logged = co_await journal_.logged_end(unit_of_name, running);
    }
    if (logged && logged->stopped) context.asked = StopContext::Asked::Outside;
    StopReason reason;
    if (end || logged) {
        // systemd forgets what ended well, and what somebody reset.
        const auto& result = end ? end->result : logged->result;
        const bool step_of_systemd = !exec_step_name(result.status).empty();
        context.executed = watched && end ? executed == end->invocation : !step_of_systemd;
        context.gave_up = !goes_on && now.record && would_restart(now.record->spec.run.restart, result);
        reason = exit_reason(result, context);
    } else {
        reason.detail = "it ended while p2prcd did not run, and the journal does not say how";
    }
    if (!asked_for(reason.kind)) {
        co_await pause(loop_, journal_grace);
        const std::string invocation = end ? end->invocation : logged ? logged->invocation : "";
        reason.log = co_await journal_.last_lines(unit_of_name, now.id, invocation, log_lines);
    }
    if (stopping) co_return false;
    if (!goes_on && !record_of(name)) co_return true; // there is nobody to tell; what is left over goes next
    auto status = draft(name, now);
    const bool kept_stopped = !end && reason.kind == StopKind::Unknown;
    status.reason = stamped(reason, now);
    if (!end && logged) status.reason->at = rfc3339_of(logged->at);
    if (unit) status.restarts = unit->restarts;
    if (goes_on)
        write_state(std::move(status), ProcessState::Starting);
    else
        write_state(std::move(status), kept_stopped ? ProcessState::Stopped : state_after(reason.kind));
    co_return true;
}

// A command may end as soon as it is executed, and whoever waits for it to run goes by what is written. What
// systemd did before it answers has been told then.
asio::awaitable<bool> Reconciler::Impl::do_confirm(std::string name) {
    const auto invocation = slots_[name].unit->invocation;
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping) co_return false;
    slots_[name].confirmed = invocation;
    co_return true;
}

// A unit that fails is dead for an instant before an automatic restart: systemd is heard out first.
asio::awaitable<bool> Reconciler::Impl::do_forget(std::string name) {
    const auto state = co_await systemd_.system_state();
    if (!state) retry_later(name);
    if (!state || stopping || *state == "stopping") co_return false;
    auto& slot = slots_[name];
    if (slot.unit && !slot.unit->dead()) co_return true;
    slot.end.reset();
    slot.watched = false;
    for (const auto& key : left_over(name))
        own_.erase(key);
    co_return true;
}

// systemd keeps nothing of a run that it has made another after; PID 1's own words about it are in the
// journal.
asio::awaitable<bool> Reconciler::Impl::do_recall(std::string name, Facts now) {
    const auto unit = *slots_[name].unit;
    const auto logged = co_await journal_.logged_end(unit.unit, unit.invocation);
    if (stopping) co_return false;
    if (!logged) co_return true;
    StopContext context;
    // A stop job is also a part of each automatic restart; a start that is none begins to count anew.
    if (logged->stopped && unit.restarts == 0) context.asked = StopContext::Asked::Outside;
    auto reason = exit_reason(logged->result, context);
    reason.log = co_await journal_.last_lines(unit.unit, now.id, logged->invocation, log_lines);
    if (stopping) co_return false;
    auto status = draft(name, now);
    status.reason = stamped(std::move(reason), now);
    status.reason->at = rfc3339_of(logged->at);
    write(status);
    co_return true;
}

void Reconciler::Impl::observe(const std::string& name, const Facts& now) {
    const auto& slot = slots_[name];
    if (!slot.unit || slot.unit->dead()) return;
    const auto& unit = *slot.unit;
    auto status = draft(name, now);
    const auto before = status;
    if (!now.status && now.record)
        status.applied = wanted(*now.record, now.local ? &*now.local : nullptr).change;
    status.state = unit.up()                             ? ProcessState::Running
                   : unit.active_state == "deactivating" ? ProcessState::Stopping
                                                         : ProcessState::Starting;
    status.pid = unit.main_pid;
    status.invocation = unit.invocation;
    status.restarts = unit.restarts;
    if (!unit.digest.empty()) status.digest = unit.digest;
    if (!now.status || status.state != before.state || status.invocation != before.invocation)
        status.since = rfc3339_of(unit.changed_at);
    if (now.record && id_of(name, unit) != now.record->id) {
        // The same process, by its digest, under a new id that does not name the old one.
        own_.erase(keys::status(options.node, unit.process));
        if (const auto kept = options.data.set_owner(name, now.record->id); !kept && options.warn)
            options.warn(kept.error().message, name);
    }
    if (now.record && !unit.digest.empty() && unit.digest != now.record->digest && !now.status &&
        options.warn)
        options.warn(
            fmt::format(
                "'{}' runs another version of its process file than the fleet has; restart it to change that",
                name),
            name);
    write(status);
}

// The step of a start that could not even be tried.
void Reconciler::Impl::refuse(const Facts& now, std::string step, const Error& error) {
    auto status = draft(now.record ? now.record->name : "", now);
    if (now.record) status.applied = wanted(*now.record, now.local ? &*now.local : nullptr).change;
    StopReason reason;
    reason.kind = StopKind::StartFailed;
    reason.step = std::move(step);
    reason.detail = error.hint.empty() ? error.message : error.message + "; " + error.hint;
    status.reason = stamped(reason, now);
    write_state(std::move(status), ProcessState::Failed);
}

void Reconciler::Impl::retry_later(std::string name) {
    const auto timer = std::make_shared<asio::steady_timer>(loop_, retry_after);
    const std::weak_ptr<Impl> weak = weak_from_this();
    timer->async_wait([weak, timer, name](boost::system::error_code error) {
        const auto impl = weak.lock();
        if (impl && !error) impl->evaluate(name);
    });
}

ProcessStatus Reconciler::Impl::draft(const std::string& name, const Facts& now) const {
    const auto* written = own_.get(keys::status(options.node, now.id));
    auto status = written ? status_from_json(*written) : ProcessStatus{};
    status.id = now.id;
    status.name = name;
    status.node = options.node;
    status.boot_id = options.boot_id;
    if (now.record) status.epoch = now.record->epoch;
    if (status.digest.empty() && now.record) status.digest = now.record->digest;
    return status;
}

void Reconciler::Impl::write(const ProcessStatus& status) {
    own_.set(keys::status(options.node, status.id), status_to_json(status));
}

void Reconciler::Impl::write_state(ProcessStatus status, ProcessState state) {
    const auto* written = own_.get(keys::status(options.node, status.id));
    if (!written || status_from_json(*written).state != state) status.since = net::now_rfc3339();
    status.state = state;
    status.node = options.node;
    status.boot_id = options.boot_id;
    if (state != ProcessState::Running && state != ProcessState::Stopping) {
        status.pid = 0;
        status.memory_bytes.reset();
    }
    write(status);
}

StopReason Reconciler::Impl::stamped(StopReason reason, const Facts& now) const {
    reason.node = options.node;
    reason.epoch = now.record ? now.record->epoch : 0;
    reason.at = net::now_rfc3339();
    return reason;
}

} // namespace p2prc::daemon
