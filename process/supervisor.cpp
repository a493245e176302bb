#include "process/supervisor.h"

#include "process/main_process.h"
#include "process/usage.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto retry_after = 2s;

} // namespace

class ProcessSupervisor::Busy {
  public:
    explicit Busy(std::shared_ptr<ProcessSupervisor> supervisor) : supervisor_(std::move(supervisor)) {
        supervisor_->busy_ = true;
    }
    ~Busy() { supervisor_->busy_ = false; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

  private:
    std::shared_ptr<ProcessSupervisor> supervisor_;
};

ProcessSupervisor::ProcessSupervisor(std::shared_ptr<Supervision> node, std::string name)
    : node_(std::move(node))
    , name_(std::move(name)) {
    // Units do not outlive their boot.
    for (const auto id : node_->own.records().statuses_of(node_->options.node, name_))
        if (const auto* status = records().status(id); status && status->boot_id == node_->options.boot_id) {
            turn_ = turn_of(*status);
            turn_known_ = true;
        }
}

// An event that has no place is a fault of the supervisor: the state stays, and what is done is decided by
// plan() all the same.
void ProcessSupervisor::take(SupervisorEvent event) {
    if (const auto to = next(state_, event)) {
        state_ = *to;
        const bool same_run = state_ == SupervisorState::Starting || state_ == SupervisorState::Ready;
        if (!same_run || event == SupervisorEvent::Executed) watch_.reset();
        // Its time is over, whatever becomes of what is being ended.
        if (!same_run) update_watch_.timer.reset();
    } else
        node_->warn(fmt::format("the event '{}' has no place while '{}' is {}; this is a fault of p2prcd",
                                name_of(event), name_, name_of(state_)),
                    name_);
}

bool ProcessSupervisor::over() const {
    return !busy() && !unit_.view() && !other_.view() && beside_ == BesideState::None &&
           state_ != SupervisorState::Fenced && !records().record(name_);
}

void ProcessSupervisor::changed(const UnitView& view) {
    unit_called(view.unit).changed(view);
    evaluate();
}

void ProcessSupervisor::gone(std::string_view unit) {
    unit_called(unit).gone();
    evaluate();
}

void ProcessSupervisor::unwatched(const std::function<bool(const std::string& unit)>& is_loaded) {
    unit_.unwatched(is_loaded(serving_name()));
    other_.unwatched(is_loaded(other_name()));
}

void ProcessSupervisor::evaluate() {
    if (node_->stopping) return;
    if (busy_) return interrupt();
    if (launch_ != 0 && !unit_.alive()) return; // what came of it is told soon
    if (deployment_ && !is_still_to_deploy()) return operate(end_deployment());
    if (deployment_) return watch_meanwhile();
    find_turn();
    rename_status();
    report_kills();
    const auto now = facts();
    if (now.record && share_id_ != now.record->id) {
        share_ = records().share_of(*now.record);
        share_id_ = now.record->id;
    }
    if (now.status) release_told(*now.status);
    const auto* view = unit_.view();
    Situation situation;
    situation.record = now.record ? &*now.record : nullptr;
    situation.elsewhere = now.elsewhere ? &*now.elsewhere : nullptr;
    situation.local = now.local ? &*now.local : nullptr;
    situation.status = now.status ? &*now.status : nullptr;
    situation.unit = view && view->process != 0 ? view : nullptr;
    situation.ended = unit_.has_end();
    situation.left_over = !records().left_over(name_).empty();
    situation.check_failed = failed_check_ && unit_.alive() && failed_check_->invocation == view->invocation;
    situation.rolls_back = rolls_back(now);
    situation.adjustable = is_adjustable(now);
    situation.paused = now.paused.has_value();
    situation.killed = now.killed;
    situation.same_process = now.same_process;
    situation.boot_id = node_->options.boot_id;
    auto what = plan(situation);
    if (attend_beside(now, what)) return;
    const bool adopted = unit_.take_adopted();
    const bool due = std::exchange(retry_.due, false);
    if (what != Act::Nothing) {
        retry_.timer.reset();
        remedy_timer_.reset();
    } else if (!now.paused) {
        const auto cure = is_remedied(now) ? attend(now) : Cure::None;
        if (cure != Cure::None) retry_.timer.reset();
        if (cure == Cure::Waits) return;
        if (cure == Cure::Again) return evaluate();
        if (cure == Cure::Starts) {
            what = Act::Retry;
        } else if (is_to_be_retried(now)) {
            if (!due) return await_retry(now.status->reason->kind);
            what = Act::Retry;
        }
    }
    // Where it is about to be stopped for a failed check, it may have ended by itself meanwhile.
    if (what == Act::Observe || ((what == Act::Abort || what == Act::Adjust) && unit_.has_unrecorded_end()))
        what = observation(now, adopted);
    // The kernel knows that it has ended; systemd will report it soon.
    if (what == Act::Observe && view->up() && main_process_ended(view->main_pid)) return;
    if (refuses_first(now, what) || deploys_first(now, what) || starts_beside(now, what)) return;
    act(what, now);
}

// While a revision is deployed the one before it runs, which is recorded as ever, and nothing else is done.
void ProcessSupervisor::watch_meanwhile() {
    const auto now = facts();
    const auto* view = unit_.view();
    if (view && view->process == 0) return; // not one of ours
    if (unit_.alive()) return act(observation(now, unit_.take_adopted()), now);
    const bool ran = view && state_ != SupervisorState::Preparing && now.status && was_up(*now.status);
    if (unit_.has_unrecorded_end() || ran) act(Act::Conclude, now);
}

// What must be found out before it can be recorded what systemd runs.
Act ProcessSupervisor::observation(const Facts& now, bool adopted) const {
    const auto& unit = *unit_.view();
    // While it starts, stops or restarts by itself, an end is to be recorded first.
    if (unit_.has_unrecorded_end()) return Act::Conclude;
    if (adopted && now.status && runs_anew(*now.status, unit, node_->options.boot_id)) return Act::Recall;
    const bool written = now.status && is_executed(*now.status) && now.status->invocation == unit.invocation;
    return unit.up() && !written && !unit_.confirmed() ? Act::Confirm : Act::Observe;
}

void ProcessSupervisor::act(Act what, const Facts& now) {
    switch (what) {
    case Act::Nothing:
        return;
    case Act::Observe:
        return observe(now);
    case Act::Settle:
        return settle(now);
    case Act::Hold:
        return hold(now);
    case Act::Fence:
        if (!unit_.alive()) return fence(now);
        break;
    case Act::Occupied:
        return refuse(now, "name",
                      {ErrorCode::Conflict, fmt::format("process {} still runs under the name '{}'",
                                                        unit_.view() ? unit_.view()->process : 0, name_)});
    case Act::Start:
    case Act::Retry:
    case Act::Restart:
    case Act::Stop:
    case Act::Kill:
    case Act::Pause:
    case Act::Resume:
    case Act::Abort:
    case Act::Adjust:
    case Act::Conclude:
    case Act::Recall:
    case Act::Confirm:
    case Act::Forget:
        break;
    }
    begin(what, now);
}

void ProcessSupervisor::begin(Act what, const Facts& now) {
    operate(run(what, now));
}

void ProcessSupervisor::operate(asio::awaitable<bool> operation) {
    const auto self = shared_from_this();
    try {
        auto hold = std::make_unique<Busy>(self);
        auto over = [self, hold = std::move(hold)](const std::exception_ptr& error, bool look_again) mutable {
            hold.reset();
            if (error)
                self->failed(error);
            else if (look_again)
                self->node_->look_again(self->name_);
        };
        asio::co_spawn(node_->loop, std::move(operation), std::move(over));
    } catch (...) {
        failed(std::current_exception());
    }
}

// Errors are values; an exception is a lack of memory or a bug. It costs one process one attempt.
void ProcessSupervisor::failed(const std::exception_ptr& error) {
    if (node_->stopping) return;
    std::string what;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        what = known.what();
    } catch (...) {
        what = "an unknown exception";
    }
    node_->warn(fmt::format("looking after '{}' failed and is tried again: {}", name_, what), name_);
    retry_later();
}

void ProcessSupervisor::retry_later() {
    const auto timer = std::make_shared<asio::steady_timer>(node_->loop, retry_after);
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    timer->async_wait([weak, timer](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self && !error) self->node_->look_again(self->name_);
    });
}

// True: something may be to be done after it.
asio::awaitable<bool> ProcessSupervisor::run(Act what, Facts now) {
    const auto self = shared_from_this();
    bool look_again = true;
    if (what == Act::Conclude) look_again = co_await conclude(now);
    if (what == Act::Recall) look_again = co_await recall(now);
    if (what == Act::Confirm) look_again = co_await confirm();
    if (what == Act::Adjust) look_again = co_await adjust(now);
    if (what == Act::Pause) look_again = co_await pause(now);
    if (what == Act::Resume) look_again = co_await resume();
    if (what == Act::Forget) look_again = co_await forget();
    if (what == Act::Stop || what == Act::Kill || what == Act::Restart || what == Act::Fence ||
        what == Act::Abort)
        look_again = co_await stop(now, what);
    if (what == Act::Abort && look_again && starts_again_at_once())
        what = rolls_back(facts()) ? Act::Restart : Act::Retry;
    if (look_again && (what == Act::Start || what == Act::Retry || what == Act::Restart) && !node_->stopping)
        look_again = co_await start(what);
    co_return look_again;
}

std::optional<ProcessStatus> ProcessSupervisor::measured(BriefUsages& usages) const {
    if (!unit_.alive() || unit_.view()->process == 0) return std::nullopt;
    const auto now = facts();
    if (!now.status) return std::nullopt;
    const auto usage = usages.of(unit_.view()->unit);
    auto status = *now.status;
    const double cpu = std::abs(usage.cpu_seconds.value_or(0) - status.cpu_seconds.value_or(0));
    const auto memory = static_cast<double>(status.memory_bytes.value_or(0));
    const double growth = std::abs(static_cast<double>(usage.memory_bytes.value_or(0)) - memory);
    // Each change goes to every node: the small ones are not worth it.
    if (cpu < 1 && growth <= memory / 20) return std::nullopt;
    status.memory_bytes = usage.memory_bytes;
    status.cpu_seconds = usage.cpu_seconds;
    return status;
}

} // namespace p2prc::process
