// What a process's remedies do about a stop.
#include "core/remedy_plan.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

using Json = nlohmann::json;
using Kind = RemedyPlan::Kind;
using enum RemedyAction;

constexpr std::int64_t now = 1'800'000'000;

StopReason reason(StopKind kind, std::optional<int> code = {}, std::string step = {}) {
    StopReason result;
    result.kind = kind;
    result.code = code;
    result.step = std::move(step);
    return result;
}

StopReason too_often(StopKind cause, std::optional<int> code = {}) {
    auto result = reason(StopKind::StartLimit, code);
    result.cause = cause;
    return result;
}

Remedy remedy(StopKind kind, RemedyAction action, std::optional<int> code = {}, std::string step = {}) {
    return {kind, std::move(step), code, action};
}

TEST(Remedy, TheFirstThatIsAboutTheStopCounts) {
    const std::vector remedies{remedy(StopKind::ExitCode, Move, 3), remedy(StopKind::ExitCode, Restart),
                               remedy(StopKind::NotReady, Notify, {}, "http"),
                               remedy(StopKind::StartLimit, None), remedy(StopKind::OomKill, Move)};
    const std::vector<std::pair<StopReason, std::uint32_t>> table{
        {reason(StopKind::ExitCode, 3), 1},
        {reason(StopKind::ExitCode, 4), 2},
        {reason(StopKind::NotReady, {}, "http"), 3},
        {reason(StopKind::NotReady, {}, "port"), 0},
        {too_often(StopKind::ExitCode, 3), 1},
        {too_often(StopKind::Signal), 4},
        {too_often(StopKind::OomKill), 4}, // the order of the file
        {reason(StopKind::StartLimit), 4},
        {reason(StopKind::OomKill), 5},
        {reason(StopKind::Watchdog), 0},
        {reason(StopKind::Finished), 0},
    };
    for (const auto& [stop, number] : table)
        EXPECT_EQ(matching_remedy(remedies, stop), number) << reason_text(stop);
}

TEST(Remedy, NothingIsDoneAboutAStopThatSomebodyAskedForOrThatAnotherNodeCauses) {
    for (const auto kind : {StopKind::Stopped, StopKind::Killed, StopKind::StoppedOutside, StopKind::Moved,
                            StopKind::Fenced, StopKind::Finished, StopKind::Shutdown, StopKind::PowerLoss})
        EXPECT_EQ(matching_remedy(std::vector{remedy(kind, Restart)}, reason(kind)), 0u)
            << stop_kind_name(kind);
}

class PlanRemedy : public testing::Test {
  protected:
    PlanRemedy() { spec.run.data = false; }
    RemedyPlan plan(RemedyAction action, const StopReason& stop) {
        spec.remedies = {remedy(cause_of(stop), action)};
        return plan_remedy({.spec = spec,
                            .reason = stop,
                            .done = done,
                            .moves = moves,
                            .now = now,
                            .early = early,
                            .updated_at = updated_at});
    }
    void refuses(RemedyAction action, const StopReason& stop, const std::string& why) {
        const auto made = plan(action, stop);
        EXPECT_EQ(made.kind, Kind::Refused) << reason_text(stop);
        EXPECT_NE(made.why.find(why), std::string::npos) << made.why;
        EXPECT_EQ(made.number, 1u);
    }

    ProcessSpec spec;
    std::vector<RemedyDone> done;
    std::vector<RemedyMove> moves;
    bool early = false;
    std::optional<std::int64_t> updated_at;
    const StopReason crash = reason(StopKind::ExitCode, 1);
};

TEST_F(PlanRemedy, EachRestartOfAnHourHasALongerPauseBeforeIt) {
    const std::vector<std::pair<long, std::uint32_t>> table{{1, 4}, {2, 3}, {4, 2}, {8, 1}, {16, 0}};
    for (const auto& [pause, left] : table) {
        const auto made = plan(Restart, crash);
        EXPECT_EQ(made.kind, Kind::Act);
        EXPECT_EQ(made.pause.count(), pause);
        EXPECT_EQ(made.left, left);
        done.push_back({Restart, now - 1800 + static_cast<std::int64_t>(done.size())});
    }
    const auto made = plan(Restart, crash);
    EXPECT_EQ(made.kind, Kind::UsedUp);
    EXPECT_EQ(made.free_at, now + 1800);
    EXPECT_EQ(made.why, "5 actions this hour are used up");
    // The same for any other one, but to leave it is none.
    EXPECT_EQ(plan(Notify, crash).kind, Kind::UsedUp);
    EXPECT_EQ(plan(None, crash).kind, Kind::Act);
}

TEST_F(PlanRemedy, WhatWasDoneBeforeTheHourDoesNotCount) {
    for (int one = 0; one < 5; ++one)
        done.push_back({Restart, now - 3600});
    EXPECT_EQ(plan(Restart, crash).pause.count(), 1);
    forget_old(done, now);
    EXPECT_TRUE(done.empty());
}

TEST_F(PlanRemedy, AClockThatIsSetBackHoldsNothingUp) {
    for (int one = 0; one < 5; ++one)
        done.push_back({Restart, now + 86400});
    done.push_back({Restart, INT64_MAX});
    done.push_back({Restart, INT64_MIN});
    EXPECT_EQ(plan(Restart, crash).kind, Kind::Act);
    forget_old(done, now);
    EXPECT_TRUE(done.empty());
    // Of two machines they differ a bit.
    moves.push_back({now + 60, "home1", StopKind::ExitCode, false});
    EXPECT_EQ(plan(Move, crash).left, 1u);
}

TEST_F(PlanRemedy, ThreeMovesADay) {
    EXPECT_EQ(plan(Move, crash).left, 2u);
    for (int one = 0; one < 3; ++one)
        moves.push_back({now - 7200 - one, "home1", StopKind::ExitCode, false});
    const auto made = plan(Move, crash);
    EXPECT_EQ(made.kind, Kind::UsedUp);
    EXPECT_EQ(made.free_at, now - 7202 + 86400);
    EXPECT_EQ(made.why, "3 moves today are used up");
    EXPECT_EQ(plan(Restart, crash).kind, Kind::Act);
}

TEST_F(PlanRemedy, MovesAreActionsOfTheHour) {
    moves.assign(2, {now - 60, "home1", StopKind::ExitCode, false});
    done.assign(3, {Restart, now - 30});
    EXPECT_EQ(plan(Move, crash).kind, Kind::UsedUp);
    EXPECT_EQ(plan(Move, crash).free_at, now - 60 + 3600);
}

TEST_F(PlanRemedy, WhatWouldRepeatAnywhereIsNotMoved) {
    refuses(Move, reason(StopKind::StartFailed, 203, "EXEC"), "'start-failed' would repeat on any node");
    refuses(Move, reason(StopKind::DeployFailed), "'deploy-failed' would repeat on any node");
    early = true;
    EXPECT_EQ(plan(Move, crash).kind, Kind::Act);
    moves.push_back({now - 60, "home1", StopKind::ExitCode, false});
    EXPECT_EQ(plan(Move, crash).kind, Kind::Act);
    moves.back().early = true;
    refuses(Move, crash, "in its first 10 seconds on two nodes");
    refuses(Move, too_often(StopKind::ExitCode, 1), "in its first 10 seconds on two nodes");
    early = false;
    EXPECT_EQ(plan(Move, crash).kind, Kind::Act);
    const auto deaf = reason(StopKind::NotReady, {}, "port");
    EXPECT_EQ(plan(Move, deaf).kind, Kind::Act);
    moves.back().cause = StopKind::NotReady;
    refuses(Move, deaf, "not ready on two nodes");
}

TEST_F(PlanRemedy, WhatIsTiedToItsNodeIsNotMoved) {
    spec.run.data = true;
    refuses(Move, crash, "its data is on this node");
    spec.run.data = false;
    spec.run.user = "alice";
    refuses(Move, crash, "user alice");
    spec.run.user.clear();
    spec.run.credentials["key"] = "/etc/key";
    refuses(Move, crash, "credentials");
}

TEST_F(PlanRemedy, ARollbackIsForTheTimeAfterAnUpdate) {
    refuses(Rollback, crash, "no earlier revision");
    updated_at = now - 599;
    EXPECT_EQ(plan(Rollback, crash).kind, Kind::Act);
    EXPECT_EQ(plan(Rollback, crash).pause.count(), 0);
    updated_at = now - 600;
    refuses(Rollback, crash, "more than 10 minutes ago");
}

TEST_F(PlanRemedy, WhatIsNotDeployedIsNotDeployedAgain) {
    refuses(Redeploy, crash, "nothing is deployed");
    spec.deploy.strategy = "script";
    done.push_back({Restart, now - 1});
    EXPECT_EQ(plan(Redeploy, crash).pause.count(), 2);
}

TEST(RemedyProgress, RoundTrips) {
    RemedyProgress progress;
    EXPECT_EQ(remedy_progress_from_json(to_json(progress)), progress);
    progress.done = {{Restart, now}, {Notify, now + 1}};
    progress.decided = true;
    progress.planned = RemedyPlanned{Move, 2, now, 1};
    progress.held = "no";
    progress.free_at = progress.told_at = progress.retry_at = now;
    progress.early = true;
    EXPECT_EQ(remedy_progress_from_json(to_json(progress)), progress);
    const RemedyMove move{now, "home1", StopKind::OomKill, true};
    EXPECT_EQ(remedy_move_from_json(to_json(move)), move);
    EXPECT_EQ(remedy_progress_from_json(Json("text")), RemedyProgress());
    EXPECT_EQ(remedy_progress_from_json(Json{{"done", Json::array({1, "x", Json::object()})}}).done.size(),
              3u);
}

TEST(RemedyProgress, ARunForgetsWhatWasPlannedAndNotWhatWasDone) {
    RemedyProgress progress{.done = {{Restart, now}},
                            .decided = true,
                            .planned = RemedyPlanned{Restart, 1, now, 1},
                            .held = "no",
                            .free_at = now,
                            .told_at = now,
                            .retry_at = now,
                            .early = true};
    begin_run(progress);
    EXPECT_EQ(progress, (RemedyProgress{.done = {{Restart, now}}, .told_at = now}));
}

TEST(RemedyProgress, SaysWhatComesNext) {
    const auto killed = reason(StopKind::OomKill);
    RemedyProgress progress;
    EXPECT_EQ(next_text(progress, killed, now), "");
    progress.planned = RemedyPlanned{Restart, 1, now + 40, 4};
    EXPECT_EQ(next_text(progress, killed, now),
              "restart in 40s (remedy 1: oom-kill), 4 of 5 actions left this hour");
    progress.planned = RemedyPlanned{Move, 2, now, 2};
    EXPECT_EQ(next_text(progress, too_often(StopKind::ExitCode), now),
              "move to another node (remedy 2: exit-code), 2 of 3 moves left today");
    progress.planned = RemedyPlanned{None, 2, now, 0};
    EXPECT_EQ(next_text(progress, killed, now), "");
    progress.planned.reset();
    progress.held = "no move (remedy 1: oom-kill): its data is on this node";
    progress.retry_at = now + 8;
    EXPECT_EQ(next_text(progress, killed, now),
              "no move (remedy 1: oom-kill): its data is on this node; another attempt in 8s");
}

} // namespace
} // namespace p2prc
