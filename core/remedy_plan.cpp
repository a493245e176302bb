#include "core/remedy_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace p2prc {
namespace {

// Clocks of two machines differ, and are set now and then.
constexpr std::int64_t clocks_differ = 300;

bool within(std::int64_t at, std::int64_t now, std::chrono::seconds time) noexcept {
    // Not by a difference that may be too large: a node says when.
    return at <= now + clocks_differ && at > now - time.count();
}

// What was done lately, oldest first.
std::vector<std::int64_t> actions_of_hour(const RemedySituation& now) {
    std::vector<std::int64_t> times;
    for (const auto& done : now.done)
        if (within(done.at, now.now, remedy_hour)) times.push_back(done.at);
    for (const auto& move : now.moves)
        if (within(move.at, now.now, remedy_hour)) times.push_back(move.at);
    std::ranges::sort(times);
    return times;
}

std::vector<std::int64_t> moves_of_day(const RemedySituation& now) {
    std::vector<std::int64_t> times;
    for (const auto& move : now.moves)
        if (within(move.at, now.now, remedy_day)) times.push_back(move.at);
    std::ranges::sort(times);
    return times;
}

// When there is room again for one more within `time`.
std::int64_t free_again(const std::vector<std::int64_t>& times, std::size_t most, std::chrono::seconds time) {
    return times[times.size() - most] + time.count();
}

std::chrono::seconds pause_before(const RemedySituation& now) {
    auto pause = first_remedy_pause;
    for (const auto& done : now.done) {
        const bool counts = done.action == RemedyAction::Restart || done.action == RemedyAction::Redeploy;
        if (counts && within(done.at, now.now, remedy_hour))
            pause = std::min(2 * pause, longest_remedy_pause);
    }
    return pause;
}

// What ties it to its node; empty: nothing.
std::string tie_of(const ProcessSpec& spec) {
    if (spec.run.data) return "its data is on this node, and cannot go along in this version";
    if (!spec.run.user.empty()) return fmt::format("it runs as user {} of this node", spec.run.user);
    if (!spec.run.credentials.empty()) return "its credentials are files on this node";
    if (!spec.run.root.empty()) return fmt::format("its root {} is on this node", spec.run.root);
    return {};
}

// Why another node could not help; empty: it may.
std::string why_not_moved(const RemedySituation& now) {
    if (auto tie = tie_of(now.spec); !tie.empty()) return tie;
    const auto cause = cause_of(now.reason);
    if (cause == StopKind::StartFailed || cause == StopKind::DeployFailed)
        return fmt::format("'{}' would repeat on any node", stop_kind_name(cause));
    const auto was_so = [&](auto same) {
        return std::ranges::any_of(now.moves, [&](const RemedyMove& move) {
            return within(move.at, now.now, remedy_day) && move.cause == cause && same(move);
        });
    };
    if (cause == StopKind::ExitCode && now.early && was_so([](const auto& move) { return move.early; }))
        return fmt::format("it ended in its first {} seconds on two nodes", early_end.count());
    if (cause == StopKind::NotReady && was_so([](const auto&) { return true; }))
        return "it was not ready on two nodes";
    return {};
}

std::string why_not(RemedyAction action, const RemedySituation& now) {
    switch (action) {
    case RemedyAction::Redeploy:
        return now.spec.deploy.strategy.empty() ? "nothing is deployed for it" : "";
    case RemedyAction::Move:
        return why_not_moved(now);
    case RemedyAction::Rollback:
        if (!now.updated_at) return "there is no earlier revision that was good";
        if (!within(*now.updated_at, now.now, rollback_time))
            return fmt::format("its last update was more than {} minutes ago", rollback_time.count() / 60);
        return {};
    case RemedyAction::Restart:
    case RemedyAction::Notify:
    case RemedyAction::None:
        break;
    }
    return {};
}

} // namespace

RemedyPlan plan_remedy(const RemedySituation& now) {
    RemedyPlan plan;
    plan.number = matching_remedy(now.spec.remedies, now.reason);
    if (plan.number == 0) return plan;
    plan.action = now.spec.remedies[plan.number - 1].action;
    plan.kind = RemedyPlan::Kind::Act;
    if (plan.action == RemedyAction::None) return plan;
    if (auto why = why_not(plan.action, now); !why.empty()) {
        plan.kind = RemedyPlan::Kind::Refused;
        plan.why = std::move(why);
        return plan;
    }
    const bool moves = plan.action == RemedyAction::Move;
    const auto hour = actions_of_hour(now);
    const auto day = moves_of_day(now);
    const bool hour_full = hour.size() >= most_remedy_actions;
    const bool day_full = moves && day.size() >= most_remedy_moves;
    if (hour_full || day_full) {
        plan.kind = RemedyPlan::Kind::UsedUp;
        if (hour_full) plan.free_at = free_again(hour, most_remedy_actions, remedy_hour);
        if (day_full) plan.free_at = std::max(plan.free_at, free_again(day, most_remedy_moves, remedy_day));
        plan.why = day_full ? fmt::format("{} moves today are used up", most_remedy_moves)
                            : fmt::format("{} actions this hour are used up", most_remedy_actions);
        return plan;
    }
    plan.left = static_cast<std::uint32_t>(moves ? most_remedy_moves - day.size() - 1
                                                 : most_remedy_actions - hour.size() - 1);
    if (plan.action == RemedyAction::Restart || plan.action == RemedyAction::Redeploy)
        plan.pause = pause_before(now);
    return plan;
}

void forget_old(std::vector<RemedyDone>& done, std::int64_t now) {
    std::erase_if(done, [now](const RemedyDone& one) { return !within(one.at, now, remedy_hour); });
}

void forget_old(std::vector<RemedyMove>& moves, std::int64_t now) {
    std::erase_if(moves, [now](const RemedyMove& move) { return !within(move.at, now, remedy_day); });
}

} // namespace p2prc
