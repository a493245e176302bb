#include "process/reconciler_impl.h"
#include "process/unit_names.h"

#include <algorithm>
#include <csignal>

namespace p2prc::process {

namespace {

// Before its command is executed, the first time and after each automatic restart, a unit shows as dead
// without anything having run.
bool has_ended(const UnitView& view) {
    const bool ran = view.result.code != 0 || view.result.result != "success";
    return (view.dead() || view.sub_state == "auto-restart") && ran;
}

} // namespace

// Takes over a unit as it is found, whatever was known of it before.
void Reconciler::Impl::adopt(const UnitView& view) {
    auto& slot = slots_[std::string(process_of_unit(view.unit))];
    slot.unit = view;
    if (!view.bind_rule.empty()) slot.bind_rule = view.bind_rule;
    slot.watched = !view.dead();
    slot.adopted = !view.dead();
    if (view.up()) slot.executed = view.invocation;
    if (has_ended(view)) slot.end = view;
}

void Reconciler::Impl::on_changed(const UnitView& view) {
    const std::string name(process_of_unit(view.unit));
    auto& slot = slots_[name];
    if (view.up()) {
        if (slot.executed != view.invocation) slot.outside = false;
        slot.executed = view.invocation;
        slot.watched = true;
    }
    // systemd ends what a main process left behind that ended by itself; it is dead at once where there was
    // nothing.
    const bool finished = view.main_pid == 0 && view.result.code == CLD_EXITED && view.result.status == 0;
    if (finished && view.sub_state == "stop-sigterm") slot.left_behind = view.invocation;
    slot.unit = view;
    if (!view.bind_rule.empty()) slot.bind_rule = view.bind_rule;
    // A start first has systemd forget that the unit failed, and shows that end once more.
    const bool told_before = !slot.former.empty() && view.invocation == slot.former;
    if (has_ended(view) && !told_before) slot.end = view;
    evaluate(name);
}

void Reconciler::Impl::on_gone(const std::string& unit) {
    const std::string name(process_of_unit(unit));
    auto& slot = slots_[name];
    // Its last state is all that is left of it, unless that was not its end.
    if (slot.unit && !slot.unit->dead()) slot.end.reset();
    slot.unit.reset();
    evaluate(name);
    retry_held();
}

void Reconciler::Impl::on_outside_job(const std::string& unit, bool queued) {
    const auto found = slots_.find(std::string(process_of_unit(unit)));
    if (found == slots_.end() || !found->second.unit) return;
    auto& slot = found->second;
    if (queued && slot.unit->up()) slot.outside = true;
    if (!queued && slot.unit->up()) slot.outside = false; // the job did not end it
}

void Reconciler::Impl::on_resynced(const std::vector<UnitView>& all) {
    for (auto& [name, slot] : slots_) {
        slot.watched = false;
        slot.outside = false;
        const auto unit = unit_name(name);
        const auto known = std::ranges::find(all, unit, &UnitView::unit);
        if (known == all.end()) {
            if (slot.unit && !slot.unit->dead()) slot.end.reset();
            slot.unit.reset();
        }
    }
    for (const auto& view : all)
        adopt(view);
    evaluate_all();
}

} // namespace p2prc::process
