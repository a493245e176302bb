#include "process/main_process.h"
#include "process/reconciler_impl.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace p2prc::process {

void Reconciler::Impl::evaluate_all() {
    std::set<std::string> names;
    for (const auto& [name, slot] : slots_)
        names.insert(name);
    for (const auto name : agreed().processes_on(options.node))
        names.emplace(name);
    for (const auto id : agreed().tombstones_on(options.node))
        if (const auto* tombstone = tombstone_of(id)) names.insert(tombstone->name);
    for (const auto& [id, status] : own_.records().statuses(options.node))
        names.insert(status->name);
    for (const auto& name : names)
        evaluate(name);
}

void Reconciler::Impl::evaluate(const std::string& name) {
    if (stopping || name.empty()) return;
    auto& slot = slots_[name];
    if (slot.busy) return;
    rename_status(name);
    report_kills(name);
    const auto now = facts(name, slot);
    if (now.record && slot.share_id != now.record->id) {
        slot.share = share_of(*now.record);
        slot.share_id = now.record->id;
    }
    Situation situation;
    situation.record = now.record ? &*now.record : nullptr;
    situation.local = now.local ? &*now.local : nullptr;
    situation.status = now.status ? &*now.status : nullptr;
    situation.unit = slot.unit && slot.unit->process != 0 ? &*slot.unit : nullptr;
    situation.left_over = !left_over(name).empty();
    situation.killed = now.killed;
    situation.same_process = now.same_process;
    situation.boot_id = options.boot_id;
    auto what = plan(situation);
    const bool adopted = std::exchange(slot.adopted, false);
    const bool due = std::exchange(slot.retry.due, false);
    if (what != Act::Nothing) {
        slot.retry.timer.reset();
    } else if (is_to_be_retried(now)) {
        if (!due) return await_retry(name);
        what = Act::Retry;
    }
    if (what == Act::Observe) what = observation(slot, now, adopted);
    // The kernel knows that it has ended; systemd will report it soon.
    if (what == Act::Observe && slot.unit->up() && main_process_ended(slot.unit->main_pid)) return;
    act(name, what, now);
    // A name of which there is nothing more: it may be of another node, or a process that was killed.
    if (const auto& after = slots_[name]; !after.busy && !after.unit && !now.record) slots_.erase(name);
}

// What must be found out before it can be recorded what systemd runs.
Act Reconciler::Impl::observation(const Slot& slot, const Facts& now, bool adopted) const {
    const auto& unit = *slot.unit;
    // While it starts, stops or restarts by itself, an end is to be recorded first.
    if (slot.end && slot.watched) return Act::Conclude;
    if (adopted && now.status && runs_anew(*now.status, unit, options.boot_id)) return Act::Recall;
    const bool written =
        now.status && now.status->state == ProcessState::Running && now.status->invocation == unit.invocation;
    return unit.up() && !written && slot.confirmed != unit.invocation ? Act::Confirm : Act::Observe;
}

void Reconciler::Impl::act(const std::string& name, Act what, const Facts& now) {
    switch (what) {
    case Act::Nothing:
        return;
    case Act::Observe:
        return observe(name, now);
    case Act::Settle:
        return settle(name, now);
    case Act::Occupied:
        return refuse(
            now, "name",
            {ErrorCode::Conflict, fmt::format("process {} still runs under the name '{}'",
                                              slots_[name].unit ? slots_[name].unit->process : 0, name)});
    case Act::Start:
    case Act::Retry:
    case Act::Restart:
    case Act::Stop:
    case Act::Kill:
    case Act::Conclude:
    case Act::Recall:
    case Act::Confirm:
    case Act::Forget:
        break;
    }
    begin(name, what, now);
}

} // namespace p2prc::process
