#include "process/observed_unit.h"

#include <csignal>
#include <utility>

namespace p2prc::process {

namespace {

// Before its command is executed, the first time and after each automatic restart, a unit shows as dead
// without anything having run.
bool has_ended(const UnitView& view) {
    const bool ran = view.result.code != 0 || view.result.result != "success";
    return (view.dead() || view.sub_state == "auto-restart") && ran;
}

// But for the state in which a timeout came: what is read of a unit does not say that.
bool same_end(UnitResult one, const UnitResult& other) {
    one.step = other.step;
    return one == other;
}

} // namespace

void ObservedUnit::found(const UnitView& view) {
    unit_ = view;
    if (!view.bind_rule.empty()) bind_rule_ = view.bind_rule;
    watched_ = !view.dead();
    adopted_ = !view.dead();
    if (view.up()) executed_ = view.invocation;
    note_end(view);
}

ObservedUnit::End ObservedUnit::end_of(const UnitView& view) const {
    return {view, outside_, executed_ == view.invocation,
            !view.invocation.empty() && left_behind_ == view.invocation};
}

// systemd shows the same end more than once: when a job of the unit is over, when it reads its units anew,
// and when who stops or starts it has it forget that it failed, which may be after the answer. A start that
// is refused because there were too many is another end of the same run.
void ObservedUnit::note_end(const UnitView& view) {
    if (!has_ended(view)) return;
    const bool dealt_with = !former_.empty() && view.invocation == former_;
    const bool told = !told_.empty() && view.invocation == told_ && same_end(view.result, told_result_);
    if (!dealt_with && !told) end_ = end_of(view);
}

void ObservedUnit::changed(const UnitView& view) {
    if (view.up()) {
        if (executed_ != view.invocation) outside_ = false;
        executed_ = view.invocation;
        watched_ = true;
    }
    // systemd ends what a main process left behind that ended by itself; it is dead at once where there was
    // nothing.
    const bool finished = view.main_pid == 0 && view.result.code == CLD_EXITED && view.result.status == 0;
    if (finished && view.sub_state == "stop-sigterm") left_behind_ = view.invocation;
    unit_ = view;
    if (!view.bind_rule.empty()) bind_rule_ = view.bind_rule;
    note_end(view);
}

// Its last state is all that is left of it, unless that was not its end.
void ObservedUnit::drop_unfinished() {
    if (alive()) end_.reset();
    unit_.reset();
}

void ObservedUnit::gone() {
    drop_unfinished();
}

void ObservedUnit::outside_job(bool queued) {
    if (unit_ && unit_->up()) outside_ = queued; // one that is over did not end it
}

void ObservedUnit::unwatched(bool loaded) {
    watched_ = false;
    outside_ = false;
    if (!loaded) drop_unfinished();
}

void ObservedUnit::there_after_all(const UnitView& view) {
    unit_ = view;
    watched_ = true;
    if (view.up()) executed_ = view.invocation;
}

void ObservedUnit::start_begins() {
    end_.reset();
    outside_ = false;
    if (unit_ && unit_->dead()) former_ = unit_->invocation;
}

bool ObservedUnit::adopt() {
    adopted_ = alive() && unit_->process != 0;
    return adopted_;
}

SeenEnd ObservedUnit::take_end() {
    SeenEnd seen;
    auto end = std::exchange(end_, std::nullopt);
    seen.unit = unit_;
    seen.goes_on = alive();
    seen.watched = watched_;
    seen.outside = std::exchange(outside_, false);
    if (!end && seen.goes_on) return seen;
    if (!end && unit_) end = end_of(*unit_);
    if (end) {
        // What is known now may be of the next run already.
        if (seen.goes_on) seen.outside = end->outside;
        seen.executed = end->executed;
        seen.left_behind = end->left_behind;
        told_ = end->view.invocation;
        told_result_ = end->view.result;
        seen.end = std::move(end->view);
    }
    watched_ = seen.goes_on;
    return seen;
}

UnitResult ObservedUnit::take_stopped() {
    outside_ = false;
    const auto end = std::exchange(end_, std::nullopt);
    if (unit_) former_ = unit_->invocation;
    unit_.reset();
    return end ? end->view.result : UnitResult{};
}

void ObservedUnit::forget_end() {
    end_.reset();
    watched_ = false;
}

} // namespace p2prc::process
