// What systemd has shown of one process's unit: as it is now, the end of a run that is not recorded yet, and
// how much of its runs was seen.
#pragma once

#include "process/systemd.h"

#include <optional>
#include <string>

namespace p2prc::process {

// What is known of a run that has ended, or may have, when it is to be found out how.
struct SeenEnd {
    std::optional<UnitView> end;  // as systemd showed it; nothing: nobody saw it
    std::optional<UnitView> unit; // as it is now
    bool goes_on = false;         // another run is on its way, or there
    bool watched = false;         // everything of the run was seen
    bool outside = false;         // by a job that is not ours
    bool executed = false;        // the command was executed in the run that ended
    bool left_behind = false;     // its main process ended before others of it
};

class ObservedUnit {
  public:
    // Nullptr: it is not loaded.
    const UnitView* view() const { return unit_ ? &*unit_ : nullptr; }
    // It is not over: it runs, or is on its way up or down.
    bool alive() const { return unit_ && !unit_->dead(); }
    bool alive_as(std::uint32_t process) const { return alive() && unit_->process == process; }
    // An end was seen that is not recorded; and so was the run before it.
    bool has_end() const { return end_.has_value(); }
    bool has_unrecorded_end() const { return end_ && watched_; }
    // Whose BPF programs it has, or is about to have; empty: none.
    const std::string& bind_rule() const { return bind_rule_; }

    // Takes it over as it is found, whatever was known of it before.
    void found(const UnitView& view);
    void changed(const UnitView& view);
    // It is not loaded any more.
    void gone();
    void outside_job(bool queued);
    // systemd was away for a moment: what it did meanwhile was not seen. Without a view it is not loaded.
    void unwatched(bool loaded);
    // It is there although nobody had seen it end or start.
    void there_after_all(const UnitView& view);

    // A start of ours begins.
    void start_begins();
    // As systemd has said in its answer, before or without a signal.
    void set_frozen(bool frozen) {
        if (unit_) unit_->frozen = frozen;
    }
    void set_bind_rule(std::string rule) { bind_rule_ = std::move(rule); }
    // A start found it there. True: it is one of ours, and is looked at as one that was found.
    bool adopt();
    // Once after it was found running: what happened to it before was not seen.
    bool take_adopted() { return std::exchange(adopted_, false); }

    // The end is dealt with by the caller from here on.
    SeenEnd take_end();
    // The same of a stop that was asked for: the end data. Empty: nothing of it was seen.
    UnitResult take_stopped();
    // Nobody waits for the end of it.
    void forget_end();

    // Whether it was asked whether this run has ended already.
    bool confirmed() const { return unit_ && confirmed_ == unit_->invocation; }
    void confirm(std::string invocation) { confirmed_ = std::move(invocation); }

  private:
    // A run that is over, as systemd showed it then, and what was known of it.
    struct End {
        UnitView view;
        bool outside = false;
        bool executed = false;
        bool left_behind = false;
    };

    void drop_unfinished();
    void note_end(const UnitView& view);
    End end_of(const UnitView& view) const;

    std::optional<UnitView> unit_; // as systemd has it now
    std::optional<End> end_;       // the last one, until it is taken
    bool outside_ = false;         // a job that is not ours was queued while it ran
    bool watched_ = false;         // it was seen running: events since then are complete
    bool adopted_ = false;         // it was found running
    std::string executed_;         // invocation in which the command was executed
    std::string confirmed_;        // last invocation of which it was asked whether it has ended
    std::string former_;      // invocation whose end is dealt with: before the current start, or by a stop
    std::string told_;        // last invocation whose end was taken
    UnitResult told_result_;  // and how it had ended
    std::string left_behind_; // invocation whose main process ended before others of it
    std::string bind_rule_;
};

} // namespace p2prc::process
