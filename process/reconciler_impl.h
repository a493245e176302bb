// The reconciler's inside, shared by its source files. reconciler.cpp: what it follows;
// reconciler_events.cpp: what systemd tells; reconciler_facts.cpp: what is known of a name;
// reconciler_decide.cpp: what to do about it; reconciler_steps.cpp: starting and stopping;
// reconciler_ports.cpp: keeping what starts to its port; reconciler_ends.cpp: how runs ended;
// reconciler_status.cpp: what is written down; reconciler_tidy.cpp: what has been written down and is over;
// reconciler_retries.cpp: what failed too often; reconciler_refused.cpp: what the gate does not let in.
#pragma once

#include "process/bind_programs.h"
#include "process/reconciler.h"
#include "state/fleet_state.h"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <map>
#include <set>
#include <string_view>

namespace p2prc::process {

// The step at which a start fails that this node does not allow.
inline constexpr const char* refused_step = "policy";

// Behind how it ended, before the seconds to its next attempt; the last words of a reason's detail.
inline constexpr std::string_view next_attempt_words = "; it is tried again after ";

// Now, for a time that is not known.
std::string rfc3339_of(std::uint64_t microseconds);

class Reconciler::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(boost::asio::any_io_executor loop, Systemd& systemd, state::Replica& replica, state::OwnState& own,
         JournalTail& journal, ReconcilerOptions options);

    boost::asio::awaitable<Result<void>> start();
    Result<void> check_name(std::string_view name) const;
    void evaluate(const std::string& name);
    void evaluate_all();
    std::string name_of_dead(const state::Change& tombstone) const;
    void measure();
    void tidy_ports();
    void set_node(std::string node);
    void network_changed();
    void detach();

    ReconcilerOptions options;
    bool stopping = false;
    std::optional<Error> unconfined;

  private:
    // Attempts at what failed too often.
    struct Retry {
        std::shared_ptr<boost::asio::steady_timer> timer; // none: there is nothing to wait for
        std::chrono::milliseconds pause{0};               // before the next attempt, or the one just made
        std::chrono::steady_clock::time_point attempted;
        bool due = false;
    };

    // What is known about one process name beyond the recorded state.
    struct Slot {
        bool busy = false;            // an operation is running; events meanwhile are handled after it
        bool outside = false;         // a job that is not ours was queued while it ran
        bool watched = false;         // it was seen running: events since then are complete
        bool adopted = false;         // it was found running: what happened before was not seen
        std::optional<UnitView> unit; // as systemd has it now
        std::optional<UnitView> end;  // as it was when it last ended, exit data included
        std::string executed;         // invocation in which the command was executed
        std::string confirmed;        // last invocation whose start and end are recorded
        std::string former;           // invocation that had ended before the current start
        std::string left_behind;      // invocation whose main process ended before others of it
        std::string bind_rule;        // whose programs its unit has, or is about to have
        // Whose work its jobs are, and the id for which this was found out: it outlives the record.
        JobShare share{JobShare::Kind::Remote};
        std::uint32_t share_id = 0;
        Retry retry;
    };

    // An operation's hold on its name: the slot is busy for as long as it lives, however the operation ends.
    class SlotLock {
      public:
        SlotLock(std::shared_ptr<Impl> impl, std::string name);
        ~SlotLock();
        SlotLock(const SlotLock&) = delete;
        SlotLock& operator=(const SlotLock&) = delete;

      private:
        std::shared_ptr<Impl> impl_;
        std::string name_;
    };

    // The records that concern a name, copied: they may change while an operation waits.
    struct Facts {
        std::optional<ProcessRecord> record;
        std::optional<LocalAction> local;
        std::optional<ProcessStatus> status;
        std::optional<Tombstone> tombstone; // of the unit's process
        bool killed = false;
        std::string killed_by;
        bool same_process = true;
        std::uint32_t id = 0; // of the record, or else of the unit
    };

    Facts facts(const std::string& name, const Slot& slot) const;
    // What is looked at where it stands is valid until a state changes.
    const state::FleetState& agreed() const { return replica_.records(); }
    const ProcessRecord* record_of(std::string_view name) const;
    const Tombstone* tombstone_of(std::uint32_t id) const;
    const ProcessRecord* owner_of_id(std::uint32_t id) const;
    const ProcessStatus* written(std::uint32_t id) const;
    JobShare share_of(const ProcessRecord& record) const;
    std::string holder_of_id(const ProcessRecord& record) const;
    bool id_is_taken(std::uint32_t id) const;
    std::uint32_t id_of(const std::string& name, const UnitView& unit) const;
    std::optional<std::uint32_t> reported_id(const std::string& name) const;
    void rename_status(const std::string& name);
    std::vector<std::string> left_over(const std::string& name) const;

    void adopt(const UnitView& view);
    void on_changed(const UnitView& view);
    void on_gone(const std::string& unit);
    void on_outside_job(const std::string& unit, bool queued);
    void on_resynced(const std::vector<UnitView>& all);
    void follow();
    void report_kills(const std::string& name);
    void forget_actions();

    Act observation(const Slot& slot, const Facts& now, bool adopted) const;
    void act(const std::string& name, Act what, const Facts& now);
    void begin(const std::string& name, Act what, const Facts& now);
    boost::asio::awaitable<bool> run(std::string name, Act what, Facts now);
    void failed(const std::string& name, const std::exception_ptr& error);
    boost::asio::awaitable<bool> do_start(std::string name, Facts now, Act what);
    Result<TransientUnit> permitted_unit(const std::string& name, const Facts& now, Act what);
    boost::asio::awaitable<void> prepare_ports();
    boost::asio::awaitable<void> prepare_ports_again(std::shared_ptr<Impl> self);
    void retry_ports_later();
    boost::asio::awaitable<void> report_unpin(std::shared_ptr<Impl> self,
                                              boost::asio::awaitable<Result<void>> unpin);
    boost::asio::awaitable<Result<void>> confine(std::string name, Facts now, TransientUnit& content);
    boost::asio::awaitable<Result<void>> prepare_data(std::string name, Facts now, Act what);
    boost::asio::awaitable<bool> started(std::string name, Facts now, Result<std::string> result);
    boost::asio::awaitable<bool> do_stop(std::string name, Facts now, Act what);
    boost::asio::awaitable<bool> do_conclude(std::string name, Facts now);
    boost::asio::awaitable<bool> do_recall(std::string name, Facts now);
    boost::asio::awaitable<bool> do_confirm(std::string name);
    boost::asio::awaitable<bool> do_forget(std::string name);
    boost::asio::awaitable<Result<bool>> still_missing(std::string name);
    std::string words_for_bind(const ProcessRecord& record, const StopReason& reason) const;
    void explain(const std::string& name, StopReason& reason, const Facts& now);
    boost::asio::awaitable<void> write_end(std::string name, Facts now, StopReason reason,
                                           ProcessState state);
    void observe(const std::string& name, const Facts& now);
    void settle(const std::string& name, const Facts& now);
    void refuse(const Facts& now, std::string step, const Error& error);
    void retry_later(std::string name);
    bool is_to_be_retried(const Facts& now) const;
    std::chrono::milliseconds next_pause(Slot& slot) const;
    void await_retry(const std::string& name);
    void arm_retry(const std::string& name, std::chrono::milliseconds pause);
    void judge_record(std::string_view name);
    void judge_id(const ProcessRecord& record);
    void judge_all_records();
    void forget_refused();
    void retry_held();
    bool runs(std::uint32_t id) const;

    ProcessStatus draft(const std::string& name, const Facts& now) const;
    void write(const ProcessStatus& status);
    void write_state(ProcessStatus status, ProcessState state);
    StopReason stamped(StopReason reason, const Facts& now) const;
    StopReason lost_with_boot(bool clean_shutdown, const Facts& now) const;
    bool any_lost_with_boot() const;

    boost::asio::any_io_executor loop_;
    Systemd& systemd_;
    state::Replica& replica_;
    state::OwnState& own_;
    JournalTail& journal_;
    std::optional<BootGap> boot_gap_; // before this boot
    std::map<std::string, Slot> slots_;
    std::set<std::string> held_;  // processes whose id another one has
    bool adopted_all_ = false;    // all units that there were are known
    bool confines_ports_ = false; // systemd can keep a process to its port by itself
    BindPrograms bind_programs_;
    std::unique_ptr<boost::asio::steady_timer> ports_timer_; // until they are prepared again
    std::chrono::milliseconds ports_pause_{0};               // before that
    std::vector<state::Subscription> subscriptions_;
};

} // namespace p2prc::process
