// A start-first update: the next revision is started as the other of the two units, beside the one that
// serves, and takes over when it has proved itself. Until then nothing is taken from the one that serves.
//
// What runs is not stopped by p2prcd's own end. The next p2prcd goes by the status, which names the unit that
// serves: the other one is a successor that nobody watches, and is started anew, or one that was draining.
#include "core/revision.h"
#include "net/clock.h"
#include "process/supervisor.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto stop_again_after = 2s;
constexpr auto beside_gone_look = 50ms;

// After these nothing of it is to run, or it is not to serve.
bool ends_all(Act what) noexcept {
    return what == Act::Stop || what == Act::Kill || what == Act::Fence || what == Act::Pause ||
           what == Act::Hold || what == Act::Settle;
}

// The port of the revision that a unit runs.
std::optional<std::uint16_t> port_of_digest(const ProcessRecord& record, const std::string& digest) {
    const auto found = std::ranges::find(record.former, digest, &Revision::digest);
    return found == record.former.end() ? std::nullopt : found->port;
}

} // namespace

// Where no status says which unit serves, it is the one that is there; of two, the one of the record, if that
// is known to be good: the other one was draining.
void ProcessSupervisor::find_turn() {
    const auto* record = records().record(name_);
    // Nor is the status of a process that is no more an answer where only the other one is left: it is what
    // runs.
    const bool is_left = !record && beside_ == BesideState::None && !unit_.alive();
    if ((std::exchange(turn_known_, true) && !is_left) || !other_.alive()) return;
    const bool is_agreed =
        record && record->outcome == Outcome::Good && other_.view()->digest == record->digest;
    if (unit_.alive() && !is_agreed) return;
    std::swap(unit_, other_);
    turn_ = other_turn(turn_);
}

void ProcessSupervisor::take_beside(BesideEvent event) {
    if (const auto to = next(beside_, event))
        beside_ = *to;
    else
        node_->warn(
            fmt::format("the event '{}' has no place while the other unit of '{}' is {}; this is a fault of "
                        "p2prcd",
                        name_of(event), name_, name_of(beside_)),
            name_);
}

// True: there is nothing else to do now. `what`: what is to be done about the unit that serves.
bool ProcessSupervisor::attend_beside(const Facts& now, Act& what) {
    const bool starts = what == Act::Start || what == Act::Retry || what == Act::Restart;
    switch (beside_) {
    case BesideState::None:
        if (!other_.view()) return false;
        // Without a record nobody knows which one serves, and nothing is concluded from that.
        if (!now.record && other_.alive() && !ends_all(what)) return false;
        if (!ends_all(what) && !starts && other_.alive()) {
            take_beside(BesideEvent::Found);
            drain(port_of_digest(*now.record, other_.view()->digest));
            return false;
        }
        stop_beside();
        return starts; // the other one may have the port
    case BesideState::Draining:
        if (!ends_all(what) && !starts && other_.alive()) return false;
        stop_beside();
        return starts;
    case BesideState::Preparing:
        return false;
    case BesideState::Stopping:
        return starts; // what starts may have the port of what is being stopped
    case BesideState::Starting:
    case BesideState::Proving:
        break;
    }
    // Without the one that serves there is nothing to be beside of.
    if (ends_all(what) || !unit_.alive() || !is_still_to_succeed(now)) {
        stop_beside();
        return starts;
    }
    if (successor_->failed_check) {
        operate(abort_beside(now));
        return true;
    }
    if (other_.has_unrecorded_end() || !other_.alive()) {
        operate(conclude_beside(now));
        return true;
    }
    if (successor_->proved && (state_ == SupervisorState::Ready || state_ == SupervisorState::Starting)) {
        switch_over(now);
        return true;
    }
    if (what == Act::Restart) what = Act::Observe; // it is under way
    return false;
}

bool ProcessSupervisor::is_still_to_succeed(const Facts& now) const {
    if (!now.record || now.elsewhere || now.killed || now.paused) return false;
    const auto want = wanted(now);
    const auto& record = successor_->record;
    return want.desired == Desired::Running && !want.killed && want.change == successor_->change &&
           now.record->id == record.id && now.record->revision == record.revision &&
           now.record->spec == record.spec;
}

// True: the next revision is started beside the one that serves, or as soon as its unit is free. Otherwise
// that is stopped first.
bool ProcessSupervisor::starts_beside(const Facts& now, Act what) {
    if (what != Act::Restart || !now.record || !now.status || !unit_.alive()) return false;
    const auto& record = *now.record;
    if (record.spec.update.order != UpdateOrder::StartFirst || !is_deployed(record)) return false;
    // One that is not known to be good is not worth keeping.
    const auto* running = former_revision(record, now.status->revision);
    if (!running || fallback_revision(record) != running) return false;
    const auto ports = ports_of(*running);
    if (std::ranges::any_of(ports_of(record), [&](auto port) { return std::ranges::count(ports, port) > 0; }))
        return false;
    // It has become ready before it was paused, or when an earlier p2prcd watched it.
    const bool is_unwatched = state_ == SupervisorState::Absent || state_ == SupervisorState::Paused;
    if (is_unwatched && unit_.view()->up() && now.status->ready_run == unit_.view()->invocation) observe(now);
    if (state_ != SupervisorState::Ready) return false;
    if (beside_ == BesideState::None) operate(start_beside(facts()));
    return true;
}

asio::awaitable<bool> ProcessSupervisor::start_beside(Facts now) {
    take_beside(BesideEvent::Ordered);
    successor_ = std::make_unique<Successor>(Successor{*now.record, wanted(now).change});
    auto status = draft(now);
    const auto running = status.revision;
    begin_update(status, *now.record);
    status.revision = running;
    node_->write(status);
    now.status = status;
    auto prepared = co_await prepare(now, now, Act::Start);
    if (node_->stopping) co_return false;
    if (!prepared.unit) {
        // What is refused is given up already.
        if (beside_ == BesideState::Preparing) take_beside(BesideEvent::Refused);
        successor_.reset();
        co_return prepared.look_again;
    }
    other_.start_begins();
    const auto unit = other_name();
    auto result = co_await node_->systemd.start_transient(unit, std::move(*prepared.unit), share_);
    if (node_->stopping) co_return false;
    if (!result && result.error().code == ErrorCode::Unreachable) {
        stop_beside();
        retry_later();
        co_return false;
    }
    if (!result) {
        refuse(now, "unit", result.error());
        co_return true;
    }
    take_beside(BesideEvent::Launched);
    if (!other_.alive()) co_return true;
    successor_->run = other_.view()->invocation;
    if (*result == "done")
        watch_beside();
    else
        successor_->failed_check =
            FailedCheck{successor_->run, StopKind::NotReady, "",
                        fmt::format("systemd's job to start it ended as '{}'", *result)};
    co_return true;
}

void ProcessSupervisor::watch_beside() {
    const auto run = successor_->run;
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    HealthEvents events;
    events.ready = [weak, run] {
        if (const auto self = weak.lock()) self->beside_ready(run);
    };
    events.lacks = [weak, run](const std::string& what) {
        if (const auto self = weak.lock(); self && self->successor_) self->successor_->lacks = what;
    };
    events.not_ready = [weak, run](std::string step, std::string answer) {
        if (const auto self = weak.lock())
            self->beside_check_failed({run, StopKind::NotReady, std::move(step), std::move(answer)});
    };
    events.unhealthy = [weak, run](std::string step, std::string answer) {
        if (const auto self = weak.lock())
            self->beside_check_failed({run, StopKind::Unhealthy, std::move(step), std::move(answer)});
    };
    const auto& record = successor_->record;
    if (!ready_limit(record.spec.ready)) arm_beside(node_->options.update_limit);
    successor_->watch =
        node_->health.watch(health_target(record, other_turn(turn_), run), std::move(events), false);
}

void ProcessSupervisor::beside_ready(const std::string& run) {
    if (node_->stopping || beside_ != BesideState::Starting || successor_->run != run) return;
    take_beside(BesideEvent::BecameReady);
    auto status = draft(facts());
    if (status.update) enter(*status.update, UpdatePhase::Confirming);
    node_->write(status);
    arm_beside(node_->options.confirm);
}

void ProcessSupervisor::beside_check_failed(FailedCheck check) {
    if (!successor_ || successor_->run != check.invocation) return;
    successor_->failed_check = std::move(check);
    node_->look_again(name_);
}

// It has ended, and is not to start again.
asio::awaitable<bool> ProcessSupervisor::conclude_beside(Facts now) {
    const auto state = co_await node_->systemd.system_state();
    if (!state) retry_later();
    if (!state || node_->stopping || *state == "stopping") co_return false;
    const auto seen = other_.take_end();
    if (!seen.end && seen.goes_on) co_return true;
    auto result = co_await node_->run_end.of(other_name(), now.id, seen, now.record->spec.run.restart);
    if (node_->stopping) co_return false;
    explain(result.reason, now, true);
    give_up_beside(now, std::move(result.reason));
    co_return true;
}

// A check of its own has failed for good.
asio::awaitable<bool> ProcessSupervisor::abort_beside(Facts now) {
    const auto check = *successor_->failed_check;
    StopReason reason;
    reason.kind = check.kind;
    reason.step = check.step;
    reason.detail = check.answer;
    reason.log = co_await node_->run_end.log_of(other_name(), now.id, check.invocation);
    if (node_->stopping) co_return false;
    give_up_beside(now, std::move(reason));
    co_return true;
}

// The one that serves has noticed nothing of it.
void ProcessSupervisor::give_up_beside(const Facts& now, StopReason reason) {
    node_->warn(fmt::format("revision {} of '{}' was not kept, and what serves runs on: {}",
                            successor_->record.revision, name_, reason_text(reason)),
                name_);
    auto status = draft(facts());
    status.applied = successor_->change;
    give_up_update(status, node_->stamped(std::move(reason), epoch_of(now)));
    if (beside_ == BesideState::Preparing && !other_.view()) {
        take_beside(BesideEvent::Refused);
        successor_.reset();
    } else {
        stop_beside();
    }
}

// From here on the other one serves: the status says so, and all that goes by it.
void ProcessSupervisor::switch_over(const Facts& now) {
    const auto successor = std::exchange(successor_, nullptr);
    const auto former_port = bound_port(*now.record, now.status->revision);
    std::swap(unit_, other_);
    turn_ = other_turn(turn_);
    take_beside(BesideEvent::Proved);
    watch_.reset();
    failed_check_.reset();
    update_watch_.timer.reset();
    retry_ = {};
    run_ = successor->run;
    run_began_ = unit_.view()->changed_at;
    if (state_ == SupervisorState::Starting) take(SupervisorEvent::BecameReady);
    auto status = draft(now);
    StopReason reason;
    reason.kind = StopKind::Stopped;
    reason.by = wanted(now).by;
    reason.detail = fmt::format("for revision {}", successor->record.revision);
    status.reason = node_->stamped(std::move(reason), epoch_of(now));
    if (status.update) enter(*status.update, UpdatePhase::Good);
    status.applied = successor->change;
    status.revision = status.good = successor->record.revision;
    status.digest = successor->record.digest;
    status.command = deployed_command(successor->record);
    status.state = ProcessState::Running;
    status.since = net::now_rfc3339();
    status.invocation = status.ready_run = run_;
    status.pid = unit_.view()->main_pid;
    status.restarts = unit_.view()->restarts;
    status.memory_bytes.reset();
    status.cpu_seconds.reset();
    status.waits_for.clear();
    node_->write(status);
    (void)watch(facts());
    drain(former_port);
}

// The other unit's.
void ProcessSupervisor::drain(std::optional<std::uint16_t> port) {
    drained_port_ = port;
    drain_until_ = std::chrono::steady_clock::now() + node_->options.drain;
    arm_beside(node_->options.drain_look);
}

// Whoever stops or kills the process meanwhile is not kept waiting for that, so it is no operation of its
// own.
void ProcessSupervisor::stop_beside() {
    successor_.reset();
    if (beside_ == BesideState::Stopping) return;
    take_beside(BesideEvent::StopOrdered);
    beside_timer_.reset();
    stop_other();
}

void ProcessSupervisor::stop_other() {
    const auto self = shared_from_this();
    const auto over = [self](const std::exception_ptr& error) {
        if (!error) return;
        self->failed(error);
        self->arm_beside(stop_again_after);
    };
    try {
        asio::co_spawn(node_->loop, end_beside(), over);
    } catch (...) {
        over(std::current_exception());
    }
}

asio::awaitable<void> ProcessSupervisor::end_beside() {
    const auto self = shared_from_this();
    const auto unit = other_name();
    const auto result = co_await node_->systemd.stop(unit, share_);
    if (node_->stopping) co_return;
    if (!result || other_.alive()) {
        node_->warn(fmt::format("cannot stop {}: {}", unit,
                                result ? "systemd's job ended as '" + *result + "'" : result.error().message),
                    name_);
        arm_beside(stop_again_after);
        co_return;
    }
    const bool loaded = other_.view() != nullptr;
    (void)other_.take_stopped();
    if (loaded) co_await node_->systemd.reset_failed(unit);
    other_.gone();
    take_beside(BesideEvent::Gone);
    if (!node_->stopping) node_->look_again(name_); // copied: this may be the end of what is watched
}

// Until nothing of it runs beside.
asio::awaitable<void> ProcessSupervisor::beside_gone() {
    asio::steady_timer timer(node_->loop);
    while (beside_ == BesideState::Stopping && !node_->stopping) {
        timer.expires_after(beside_gone_look);
        boost::system::error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void ProcessSupervisor::arm_beside(std::chrono::milliseconds time) {
    const auto timer = std::make_shared<asio::steady_timer>(node_->loop, time);
    beside_timer_ = timer;
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    timer->async_wait([weak, timer](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self && !error && self->beside_timer_ == timer) self->beside_due();
    });
}

void ProcessSupervisor::beside_due() {
    beside_timer_.reset();
    if (node_->stopping) return;
    switch (beside_) {
    case BesideState::None:
    case BesideState::Preparing:
        return;
    case BesideState::Starting:
        return beside_check_failed(
            {successor_->run, StopKind::NotReady, successor_->record.port ? "port" : "",
             fmt::format("{}; an update has {} s for that, where ready.timeout says nothing else",
                         successor_->lacks.empty() ? std::string("it was not ready") : successor_->lacks,
                         node_->options.update_limit.count() / 1000)});
    case BesideState::Proving:
        successor_->proved = true;
        return node_->look_again(name_);
    case BesideState::Draining:
        if (drained_port_ && std::chrono::steady_clock::now() < drain_until_ &&
            node_->options.has_connections(*drained_port_))
            return arm_beside(node_->options.drain_look);
        return stop_beside();
    case BesideState::Stopping:
        return stop_other();
    }
}

} // namespace p2prc::process
