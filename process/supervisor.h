// Looks after one process of this node: decides what to do about it by plan(), has systemd do it, and writes
// down what came of it. One operation at a time.
//
// supervisor.cpp: what happens to its unit, and what to do about it; supervisor_start.cpp,
// supervisor_stop.cpp, supervisor_pause.cpp and supervisor_ends.cpp: the operations; supervisor_deploy.cpp:
// what comes before its first start; supervisor_health.cpp: whether it is ready and stays so;
// supervisor_status.cpp: what is written down; supervisor_retries.cpp: what failed too often;
// supervisor_remedies.cpp: what its file says about that; supervisor_update.cpp: from one revision to the
// next; supervisor_beside.cpp: the same with the next one beside the one that serves.
#pragma once

#include "process/beside_state.h"
#include "process/observed_unit.h"
#include "process/plan.h"
#include "process/retry_words.h"
#include "process/supervision.h"
#include "process/supervisor_state.h"
#include "process/unit_names.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::process {

// An update was not kept, and what was started last is not the revision before it yet.
bool rolls_back(const Facts& now) noexcept;
// What was started last becomes the record's revision without a restart.
bool is_adjustable(const Facts& now);

// What this node wants of it; `now` has a record.
inline Wanted wanted(const Facts& now) {
    return wanted(*now.record, now.local ? &*now.local : nullptr);
}

// The update is in this phase from now on.
void enter(UpdateProgress& update, UpdatePhase phase);

class BriefUsages;

class ProcessSupervisor : public std::enable_shared_from_this<ProcessSupervisor> {
  public:
    ProcessSupervisor(std::shared_ptr<Supervision> node, std::string name);

    SupervisorState state() const { return state_; }
    // The one that serves, and the one that an update starts beside it, or leaves behind.
    const ObservedUnit& unit() const { return unit_; }
    const ObservedUnit& other_unit() const { return other_; }
    bool busy() const { return busy_ || launch_ != 0 || deployment_; }
    // Nothing is known of it any more: it may be of another node, or was killed.
    bool over() const;

    // What systemd tells. A changed unit is evaluated; one that was found is not yet.
    void found(const UnitView& view) { unit_called(view.unit).found(view); }
    void changed(const UnitView& view);
    void gone(std::string_view unit);
    void outside_job(std::string_view unit, bool queued) { unit_called(unit).outside_job(queued); }
    void unwatched(const std::function<bool(const std::string& unit)>& is_loaded);

    // Does what there is to do, unless an operation is under way: then after it.
    void evaluate();
    // What fails without a network is tried again soon.
    void network_changed();
    // So is what was refused, where it is allowed now.
    void policy_changed();
    // Memory and processor time. Nothing: they are as they were written down, or nearly.
    std::optional<ProcessStatus> measured(BriefUsages& usages) const;

  private:
    // An operation's hold: it is busy for as long as this lives, however the operation ends.
    class Busy;
    // Attempts at what failed too often.
    struct Retry {
        std::shared_ptr<boost::asio::steady_timer> timer; // none: there is nothing to wait for
        std::chrono::milliseconds pause{0};               // before the next attempt, or the one just made
        std::optional<std::chrono::steady_clock::time_point> attempted;
        bool due = false;
    };

    // Nothing: it is not started. What was in the way has been written down, or goes by itself.
    struct Prepared {
        std::optional<TransientUnit> unit;
        bool look_again = true; // false: it is tried again later
    };

    // A check of [ready] or [live] that has failed for good, of a run.
    struct FailedCheck {
        std::string invocation;
        StopKind kind = StopKind::NotReady;
        std::string step, answer;
    };

    // The next revision, which runs as the other unit.
    struct Successor {
        ProcessRecord record;     // as it is to be
        std::uint64_t change = 0; // what is wanted, as of when it began
        std::string run = {};     // its invocation
        std::unique_ptr<Health::Watch> watch = {};
        std::string lacks = {}; // to be ready
        std::optional<FailedCheck> failed_check = {};
        bool proved = false; // it has stayed up for long enough
    };

    // The time that an update has in a phase, of a run.
    struct UpdateWatch {
        std::shared_ptr<boost::asio::steady_timer> timer = {}; // none: there is nothing to wait for
        std::string run = {};
        UpdatePhase phase = UpdatePhase::Replacing;
    };

    void take(SupervisorEvent event);
    const NodeRecords& records() const { return node_->records; }
    Facts facts() const { return records().facts(name_); }

    void watch_meanwhile();
    Act observation(const Facts& now, bool adopted) const;
    void act(Act what, const Facts& now);
    void begin(Act what, const Facts& now);
    void operate(boost::asio::awaitable<bool> operation);
    boost::asio::awaitable<bool> run(Act what, Facts now);
    void failed(const std::exception_ptr& error);
    void retry_later();
    boost::asio::awaitable<Result<std::string>> run_helper(std::string unit, TransientUnit content);
    bool is_still_to_start(const Facts& now) const;
    void interrupt();
    bool was_interrupted();

    boost::asio::awaitable<bool> forget_last_run();
    boost::asio::awaitable<bool> start(Act what);
    boost::asio::awaitable<Prepared> prepare(Facts before, Facts now, Act what);
    Result<void> permitted(const Facts& now);
    Result<TransientUnit> unit_to_start(const Facts& now, Act what);
    boost::asio::awaitable<bool> limited(Facts now);
    boost::asio::awaitable<Result<void>> confine(Facts now, TransientUnit& content);
    boost::asio::awaitable<Result<void>> prepare_data(Facts now, Act what);
    boost::asio::awaitable<Result<void>> make_volumes(ProcessRecord record);
    void launch_aside(Facts now, TransientUnit content);
    boost::asio::awaitable<void> launch(Facts now, TransientUnit content, std::uint64_t number);
    boost::asio::awaitable<bool> launched(Facts now, Result<std::string> result);

    ObservedUnit& unit_called(std::string_view unit) { return turn_of_unit(unit) == turn_ ? unit_ : other_; }
    std::string serving_name() const { return unit_name(name_, turn_); }
    std::string other_name() const { return unit_name(name_, other_turn(turn_)); }
    void find_turn();
    void take_beside(BesideEvent event);
    bool attend_beside(const Facts& now, Act& what);
    bool is_still_to_succeed(const Facts& now) const;
    bool starts_beside(const Facts& now, Act what);
    boost::asio::awaitable<bool> start_beside(Facts now);
    void watch_beside();
    void beside_ready(const std::string& run);
    void beside_check_failed(FailedCheck check);
    boost::asio::awaitable<bool> conclude_beside(Facts now);
    boost::asio::awaitable<bool> abort_beside(Facts now);
    void give_up_beside(const Facts& now, StopReason reason);
    void switch_over(const Facts& now);
    void drain(std::optional<std::uint16_t> port);
    void stop_beside();
    void stop_other();
    boost::asio::awaitable<void> end_beside();
    boost::asio::awaitable<void> beside_gone();
    void arm_beside(std::chrono::milliseconds time);
    void beside_due();

    Result<void> permitted_deployer(const ProcessRecord& record) const;
    bool allowed(const ProcessRecord& record) const;
    bool is_deployed(const ProcessRecord& record) const;
    bool deploys_first(const Facts& now, Act what);
    void deploy(const Facts& now);
    bool is_still_to_deploy() const;
    void deployment_says(std::string words);
    void deployment_over(std::optional<StopReason> failure);
    boost::asio::awaitable<bool> end_deployment();

    boost::asio::awaitable<bool> stop(Facts now, Act what);
    boost::asio::awaitable<bool> pause(Facts now);
    boost::asio::awaitable<bool> resume();
    void hold(const Facts& now, std::string detail = {});
    Boxed<StopReason> earlier_end(const Facts& now) const;
    static void add_earlier_end(StopReason& reason, Boxed<StopReason> ended);
    boost::asio::awaitable<void> aborted(Facts now, std::string invocation);
    void fence(const Facts& now);
    boost::asio::awaitable<bool> conclude(Facts now);
    boost::asio::awaitable<bool> recall(Facts now);
    boost::asio::awaitable<bool> confirm();
    boost::asio::awaitable<bool> forget();

    void observe(const Facts& now);
    bool watch(const Facts& now);
    HealthTarget health_target(const ProcessRecord& record, Turn turn, std::string run) const;
    void became_ready(const std::string& run);
    void lacks(const std::string& run, const std::string& what);
    void check_failed(FailedCheck check);
    void settle(const Facts& now);
    void refuse(const Facts& now, std::string step, const Error& error);
    // `goes_on`: systemd starts it again by itself.
    void explain(StopReason& reason, const Facts& now, bool goes_on);
    ProcessSpec run_spec(const ProcessRecord& record) const;
    std::string deployed_command(const ProcessRecord& record) const;
    ProcessStatus draft(const Facts& now) const;

    static void begin_update(ProcessStatus& status, const ProcessRecord& record);
    bool refuses_first(const Facts& now, Act what);
    boost::asio::awaitable<bool> copy_data(ProcessRecord record);
    boost::asio::awaitable<Result<void>> make_copy(ProcessRecord record);
    void put_data_back(ProcessStatus& status);
    static void note_ready(ProcessStatus& status);
    // Whether an end of this kind has the revision before run again.
    static bool is_taken_back(const ProcessStatus& status, StopKind kind) noexcept;
    bool take_back(ProcessStatus& status, const Facts& now);
    void give_up_update(ProcessStatus& status, StopReason reason);
    void watch_update(const Facts& now);
    void update_due();
    boost::asio::awaitable<bool> adjust(Facts now);

    void rename_status();
    void report_kills();

    bool is_to_be_retried(const Facts& now) const;
    bool starts_again_at_once() const;
    std::chrono::milliseconds next_pause(StopKind kind);
    void await_retry(StopKind kind);
    void arm_retry(std::chrono::milliseconds pause);

    // What comes of a failure for which there is a remedy.
    enum class Cure {
        None,   // what p2prcd does about any failure
        Waits,  // nothing, at the moment or at all
        Starts, // it is started
        Again,  // something else is to be done now: look again
    };
    bool is_remedied(const Facts& now) const;
    Cure attend(const Facts& now);
    Cure follow_plan(const Facts& now, ProcessStatus status, std::int64_t seconds);
    void go_back(ProcessStatus status, const ProcessRecord& record);
    void arm_remedy(std::chrono::milliseconds pause);
    boost::asio::awaitable<bool> tell(Facts now);
    void release_told(const ProcessStatus& status);
    bool ended_early(const SeenEnd& seen) const;

    std::shared_ptr<Supervision> node_;
    std::string name_;
    SupervisorState state_ = SupervisorState::Absent;
    Turn turn_ = Turn::First; // which of its two units serves
    bool turn_known_ = false;
    ObservedUnit unit_; // the one that serves
    ObservedUnit other_;
    BesideState beside_ = BesideState::None; // what the other one is
    std::unique_ptr<Successor> successor_;   // while is_successor(beside_)
    std::shared_ptr<boost::asio::steady_timer> beside_timer_;
    std::optional<std::uint16_t> drained_port_; // of what is draining; nothing: it has none
    std::chrono::steady_clock::time_point drain_until_;
    bool busy_ = false;
    // A unit that is run before its own, which may take minutes; empty: none.
    std::string helper_;
    std::uint64_t started_change_ = 0; // what is wanted, as of when it began
    bool interrupted_ = false;         // it is ended, as something else is wanted
    std::uint64_t launch_ = 0;         // the number of the launch aside that is under way; 0: none
    std::uint64_t last_launch_ = 0;
    std::shared_ptr<Deployment> deployment_; // beside the operations, as it takes minutes
    std::uint64_t deployed_change_ = 0;      // what is wanted, as of when it began
    std::string run_;                        // the invocation that the state is about
    std::unique_ptr<Health::Watch> watch_;   // of that run, while it is starting or ready
    std::optional<FailedCheck> failed_check_;
    UpdateWatch update_watch_;
    // Whose work its jobs are, and the id for which this was found out: it outlives the record.
    JobShare share_{JobShare::Kind::Remote};
    std::uint32_t share_id_ = 0;
    Retry retry_;
    std::shared_ptr<boost::asio::steady_timer> remedy_timer_; // none: there is nothing to wait for
    std::string told_;            // the mark of what this p2prcd has told people, or let go of
    std::uint64_t run_began_ = 0; // `run_`, in microseconds since 1970; 0: not known
};

} // namespace p2prc::process
