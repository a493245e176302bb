// What the remedies of its file do once systemd has given it up.
#include "core/encoding.h"
#include "core/remedy_plan.h"
#include "net/clock.h"
#include "process/supervisor.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// Another node may have room, or be there, later.
constexpr auto move_is_asked_for_every = 300s;

std::int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::chrono::milliseconds time_until(std::int64_t at, std::chrono::seconds longest) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    // The clock may have been set.
    const auto latest = std::chrono::duration_cast<std::chrono::seconds>(now) + longest;
    return std::max(std::chrono::milliseconds(std::min(std::chrono::seconds(at), latest)) - now, 0ms);
}

// When the revision that runs was found good, of an update.
std::optional<std::int64_t> updated_at(const Facts& now) {
    const auto* update = now.status->update ? &*now.status->update : nullptr;
    if (!update || update->phase != UpdatePhase::Good || update->revision != now.record->revision ||
        now.status->revision != now.record->revision || !last_good_revision(*now.record))
        return std::nullopt;
    const auto since = net::from_rfc3339(update->since);
    if (!since) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::seconds>(since->time_since_epoch()).count();
}

// The same for the same stop, whenever it is told of.
std::string notice_mark(const ProcessStatus& status, bool by_remedy) {
    const auto text = fmt::format("{} {} {} {} {}", status.id, status.reason->at,
                                  stop_kind_name(status.reason->kind), status.remedy->done.size(), by_remedy);
    return to_hex(sha256(as_bytes(text))).substr(0, 16);
}

// What becomes of the last stop by `plan`.
void decide(RemedyProgress& progress, const RemedyPlan& plan, const StopReason& reason,
            std::int64_t seconds) {
    progress.decided = true;
    progress.planned.reset();
    progress.held.clear();
    progress.free_at = plan.free_at;
    if (plan.kind == RemedyPlan::Kind::Act) {
        progress.planned = RemedyPlanned{plan.action, plan.number, seconds + plan.pause.count(), plan.left};
        return;
    }
    const auto time = std::chrono::system_clock::time_point(std::chrono::seconds(plan.free_at));
    const auto when = plan.free_at == 0 ? std::string() : " until " + net::to_rfc3339(time);
    progress.held = fmt::format("no {}{} (remedy {}: {}): {}", remedy_action_name(plan.action), when,
                                plan.number, stop_kind_name(cause_of(reason)), plan.why);
}

} // namespace

bool ProcessSupervisor::is_remedied(const Facts& now) const {
    if (!now.record || !now.status || now.status->state != ProcessState::Failed || !now.status->reason)
        return false;
    return wanted(now).desired == Desired::Running &&
           matching_remedy(now.record->spec.remedies, *now.status->reason) != 0;
}

// It has failed, and a remedy is about that. All that it does is on disk before it is done, so that a p2prcd
// that was ended goes on from there.
ProcessSupervisor::Cure ProcessSupervisor::attend(const Facts& now) {
    const auto seconds = unix_now();
    auto status = draft(now);
    if (!status.remedy) status.remedy = RemedyProgress();
    auto& progress = *status.remedy;
    if (progress.free_at != 0 && seconds >= progress.free_at) progress.decided = false;
    if (!progress.decided) {
        forget_old(progress.done, seconds);
        const auto plan = plan_remedy({.spec = now.record->spec,
                                       .reason = *status.reason,
                                       .done = progress.done,
                                       .moves = now.record->moves,
                                       .now = seconds,
                                       .early = progress.early,
                                       .updated_at = updated_at(now)});
        decide(progress, plan, *status.reason, seconds);
        remedy_timer_.reset();
        node_->write(status);
    }
    const bool told = seconds - remedy_hour.count() < progress.told_at;
    const bool notifies = progress.planned && progress.planned->action == RemedyAction::Notify;
    if (notifies || (progress.free_at != 0 && !told)) {
        operate(tell(now));
        return Cure::Waits;
    }
    if (progress.free_at != 0) arm_remedy(time_until(progress.free_at, remedy_day));
    return progress.planned ? follow_plan(now, std::move(status), seconds) : Cure::None;
}

ProcessSupervisor::Cure ProcessSupervisor::follow_plan(const Facts& now, ProcessStatus status,
                                                       std::int64_t seconds) {
    auto& progress = *status.remedy;
    auto& planned = *progress.planned;
    if (planned.action == RemedyAction::None) return Cure::Waits;
    if (planned.action == RemedyAction::Move) {
        // The registry moves it when it hears of this status. Meanwhile what may pass is tried again here.
        const auto& refused = now.record->move_refused;
        const auto held = refused.empty() ? std::string() : "not yet: " + refused;
        const bool again = seconds >= planned.at + move_is_asked_for_every.count();
        if (again) planned.at = seconds;
        if (again || progress.held != held) {
            progress.held = held;
            node_->write(status);
        }
        arm_remedy(time_until(planned.at + move_is_asked_for_every.count(), move_is_asked_for_every));
        return Cure::None;
    }
    if (const auto left = time_until(planned.at, longest_remedy_pause); left > 0ms) {
        arm_remedy(left);
        return Cure::Waits;
    }
    const auto action = planned.action;
    node_->warn(fmt::format("remedy {} of '{}' ({}): {}", planned.number, name_,
                            stop_kind_name(cause_of(*status.reason)), remedy_action_name(action)),
                name_);
    progress.done.push_back({action, seconds});
    begin_run(progress);
    if (action == RemedyAction::Rollback) {
        // The record may have changed since this was decided.
        if (!last_good_revision(*now.record)) {
            node_->write(status);
            return Cure::Again;
        }
        go_back(std::move(status), *now.record);
        return Cure::Again;
    }
    if (action == RemedyAction::Redeploy)
        node_->deployments.results().forget(name_, deploy_digest(*now.record));
    node_->write(status);
    return Cure::Starts;
}

// The last good revision, as after an update that was not kept: that one was, and failed later.
void ProcessSupervisor::go_back(ProcessStatus status, const ProcessRecord& record) {
    UpdateProgress update{record.revision, last_good_revision(record)->number, UpdatePhase::RollingBack,
                          net::now_rfc3339(), *status.reason};
    update.reason->log.clear(); // they are in the reason of the stop
    status.reason = update_failed(update, *status.reason);
    status.update = std::move(update);
    node_->write_state(std::move(status), ProcessState::Starting);
}

void ProcessSupervisor::arm_remedy(std::chrono::milliseconds pause) {
    if (remedy_timer_) return;
    const auto timer = std::make_shared<asio::steady_timer>(node_->loop, pause);
    remedy_timer_ = timer;
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    timer->async_wait([weak, timer](boost::system::error_code) {
        const auto self = weak.lock();
        if (!self || self->remedy_timer_ != timer) return;
        self->remedy_timer_.reset();
        self->evaluate();
    });
}

// People learn of it: a remedy says so, or there is nothing left that the others may do. What they are told
// is marked, on disk, before a program is started, and that it was told after: a p2prcd that was ended
// between the two tells those that have not been told.
asio::awaitable<bool> ProcessSupervisor::tell(Facts now) {
    auto status = draft(now);
    auto& progress = *status.remedy;
    const bool by_remedy = progress.planned && progress.planned->action == RemedyAction::Notify;
    const auto text =
        is_to_be_retried(now) && progress.held.empty() ? std::string("it is tried again") : progress.held;
    const auto mark = notice_mark(status, by_remedy);
    if (std::exchange(progress.telling, mark) != mark) node_->write(status);
    told_ = mark;
    if (const auto kept = co_await node_->own.flush(); !kept) {
        node_->warn(fmt::format("what became of '{}' is not told yet: {}", name_, kept.error().message),
                    name_);
        retry_later();
        co_return false;
    }
    nlohmann::json notice{{"node", node_->options.node},
                          {"process", name_},
                          {"id", now.record->id},
                          {"revision", now.record->revision},
                          {"reason", reason_to_json(*status.reason)},
                          {"at", status.reason->at},
                          {"next", text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text)}};
    const auto told = co_await node_->notifiers.tell(name_, mark, std::move(notice));
    if (node_->stopping) co_return false;
    if (!told) {
        retry_later();
        co_return false;
    }
    auto after = draft(facts());
    if (after.remedy && after.remedy->telling == mark) {
        if (by_remedy) {
            after.remedy->planned.reset();
            after.remedy->done.push_back({RemedyAction::Notify, unix_now()});
        } else {
            after.remedy->told_at = unix_now();
        }
        node_->write(after);
    }
    if (const auto kept = co_await node_->own.flush(); !kept)
        told_.clear(); // let go later, as those of an earlier p2prcd are
    else if (!node_->stopping)
        node_->notifiers.release(name_, mark);
    co_return !node_->stopping;
}

// Units of a notice that an earlier p2prcd was told to have given.
void ProcessSupervisor::release_told(const ProcessStatus& status) {
    if (!status.remedy || status.remedy->telling.empty() || status.remedy->telling == told_) return;
    const auto& progress = *status.remedy;
    const bool notifies = progress.planned && progress.planned->action == RemedyAction::Notify;
    if (notifies || (progress.free_at != 0 && unix_now() - remedy_hour.count() >= progress.told_at))
        return; // it is not told yet
    told_ = status.remedy->telling;
    node_->notifiers.release(name_, told_);
}

} // namespace p2prc::process
