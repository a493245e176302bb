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

} // namespace

void ObservedUnit::found(const UnitView& view) {
    unit_ = view;
    if (!view.bind_rule.empty()) bind_rule_ = view.bind_rule;
    watched_ = !view.dead();
    adopted_ = !view.dead();
    if (view.up()) executed_ = view.invocation;
    if (has_ended(view)) end_ = view;
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
    // Who stops or starts it has systemd forget that it failed, which shows that end once more, and may be
    // after the answer.
    const bool told_before = !former_.empty() && view.invocation == former_;
    if (has_ended(view) && !told_before) end_ = view;
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
    if (unit_) former_ = unit_->invocation;
}

bool ObservedUnit::adopt() {
    adopted_ = alive() && unit_->process != 0;
    return adopted_;
}

SeenEnd ObservedUnit::take_end() {
    SeenEnd seen;
    seen.end = std::exchange(end_, std::nullopt);
    seen.unit = unit_;
    seen.goes_on = alive();
    seen.watched = watched_;
    seen.outside = std::exchange(outside_, false);
    if (!seen.end && seen.goes_on) return seen;
    if (!seen.end) seen.end = unit_;
    seen.executed = seen.end && executed_ == seen.end->invocation;
    seen.left_behind = seen.end && !seen.end->invocation.empty() && left_behind_ == seen.end->invocation;
    watched_ = seen.goes_on;
    return seen;
}

UnitResult ObservedUnit::take_stopped() {
    outside_ = false;
    const auto end = std::exchange(end_, std::nullopt);
    if (unit_) former_ = unit_->invocation;
    unit_.reset();
    return end ? end->result : UnitResult{};
}

void ObservedUnit::forget_end() {
    end_.reset();
    watched_ = false;
}

} // namespace p2prc::process
