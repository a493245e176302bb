// When a wait for a process is over, and with what.
#include "daemon/api/waits.h"
#include "tests/unit/daemon/api/fixture.h"

namespace p2prc::daemon {
namespace {

class JudgeTest : public ApiTest {
  protected:
    void SetUp() override { populate(); }

    std::string verdict(const ProcessRecord& record, ProcessStatus status, Goal goal = Goal::Ready,
                        Boxed<StopReason> before = {}) {
        status.id = record.id;
        status.name = record.name;
        status.node = record.node;
        own->set(keys::status(record.node, record.id), status_to_json(status));
        Awaited awaited{record.id, record.name, record.node};
        awaited.goal = goal;
        awaited.reason = before;
        const auto judged = judge(api->view(), awaited);
        return !judged ? "waits" : *judged ? "done" : judged->error().message;
    }
    static ProcessStatus running(bool ready) {
        ProcessStatus status;
        status.state = ready ? ProcessState::Running : ProcessState::Starting;
        status.pid = 100;
        status.invocation = "1";
        status.ready_run = ready ? "1" : "0";
        return status;
    }
    static StopReason reason(StopKind kind, int code = 0) {
        StopReason reason;
        reason.kind = kind;
        if (kind == StopKind::ExitCode) reason.code = code;
        return reason;
    }
};

TEST_F(JudgeTest, ExecutedIsNotReady) {
    EXPECT_EQ(verdict(wiki, running(false)), "waits");
    EXPECT_EQ(verdict(wiki, running(false), Goal::Started), "done");
    EXPECT_EQ(verdict(wiki, running(true)), "done");
}

TEST_F(JudgeTest, WhatEndsIsFinishedOrHasFailed) {
    const auto nap = process(9, "nap");
    commit({{keys::process("nap"), to_json(nap)}});
    ProcessStatus over;
    over.state = ProcessState::Stopped;
    over.reason = reason(StopKind::Finished);
    EXPECT_EQ(verdict(nap, over), "done");
    EXPECT_NE(verdict(wiki, over).find("process 'wiki' has ended: finished"), std::string::npos)
        << "it has a port";
    EXPECT_EQ(verdict(wiki, over, Goal::Started), "done");
    over.state = ProcessState::Failed;
    over.reason = reason(StopKind::ExitCode, 3);
    EXPECT_NE(verdict(nap, over).find("process 'nap' has ended: exit-code 3"), std::string::npos);
}

TEST_F(JudgeTest, WhatIsPausedIsNotWaitedFor) {
    auto paused = running(true);
    paused.state = ProcessState::Paused;
    paused.reason = reason(StopKind::Paused);
    paused.reason->by = "bob@home1";
    paused.reason->at = "2026-01-02T03:04:05Z";
    const auto words = "process 'wiki' is paused on 'home1' by bob@home1, 2026-01-02T03:04:05Z; what it was "
                       "asked to do is done when it is resumed";
    EXPECT_EQ(verdict(wiki, paused), words);
    EXPECT_EQ(verdict(wiki, paused, Goal::Started), words);
    EXPECT_EQ(verdict(wiki, paused, Goal::Stopped), "waits");
    EXPECT_EQ(verdict(wiki, paused, Goal::Paused), "done");
    EXPECT_EQ(verdict(wiki, paused, Goal::Resumed), "waits");
    const auto hint = [&] {
        verdict(wiki, paused);
        return judge(api->view(), Awaited{wiki.id, "wiki", "home1"})->error().hint;
    };
    EXPECT_EQ(hint(), "on home1: p2prc resume wiki");
    paused.reason->owner = "root1";
    EXPECT_EQ(hint(), "on home1: p2prc resume --owner root1");
    paused.reason->owner = "x; reboot";
    EXPECT_EQ(hint(), "on home1: p2prc resume wiki") << "it is another node's word";
    EXPECT_EQ(verdict(wiki, running(true), Goal::Paused), "waits");
    EXPECT_EQ(verdict(wiki, running(false), Goal::Resumed), "done");
}

TEST_F(JudgeTest, AnEndThatIsFollowedByAnotherStartIsAFailure) {
    auto again = running(false);
    again.restarts = 1;
    EXPECT_EQ(verdict(wiki, again), "process 'wiki' ended and was started again");
    again.reason = reason(StopKind::ExitCode, 3);
    EXPECT_NE(verdict(wiki, again).find("process 'wiki' has ended: exit-code 3"), std::string::npos);
    again.restarts = 0;
    EXPECT_EQ(verdict(wiki, again, Goal::Ready, again.reason), "waits") << "of an earlier run";
    again.reason = reason(StopKind::Stopped);
    EXPECT_EQ(verdict(wiki, again), "waits") << "a restart stops it first";
}

TEST_F(JudgeTest, TheHintSaysWhetherItIsTriedAgain) {
    const auto hint = [this](const ProcessStatus& status) {
        verdict(wiki, status);
        const auto judged = judge(api->view(), Awaited{wiki.id, "wiki", "home1"});
        return judged && !*judged ? judged->error().hint : "no failure";
    };
    auto again = running(false);
    again.state = ProcessState::Starting;
    again.restarts = 1;
    again.reason = reason(StopKind::ExitCode, 3);
    EXPECT_NE(hint(again).find("it is tried again; p2prc stop wiki ends that"), std::string::npos)
        << hint(again);
    again.state = ProcessState::Failed;
    again.reason = reason(StopKind::StartLimit);
    EXPECT_NE(hint(again).find("it is tried again"), std::string::npos) << hint(again);
    again.reason = reason(StopKind::DeployFailed);
    EXPECT_EQ(hint(again), "p2prc logs wiki --deploy shows more; p2prc kill wiki removes it");
    again.reason = reason(StopKind::StartFailed);
    EXPECT_EQ(hint(again), "p2prc logs wiki shows more; p2prc kill wiki removes it");
    again.reason = reason(StopKind::DeployFailed);
    EXPECT_EQ(hint(again), "p2prc logs wiki --deploy shows more; p2prc kill wiki removes it");
    again.reason = reason(StopKind::StartFailed);
    // What a remedy does about it counts.
    const auto with = [this](StopKind kind, RemedyAction action) {
        auto mended = wiki;
        mended.spec.remedies = {{kind, "", std::nullopt, action}};
        mended.digest = spec_digest(mended.spec);
        commit({{keys::process("wiki"), to_json(mended)}});
    };
    with(StopKind::StartFailed, RemedyAction::Restart);
    EXPECT_NE(hint(again).find("it is tried again"), std::string::npos) << hint(again);
    again.remedy = RemedyProgress{.decided = true};
    EXPECT_EQ(hint(again).find("it is tried again"), std::string::npos) << hint(again);
    again.remedy.reset();
    again.reason = reason(StopKind::StartLimit);
    with(StopKind::StartLimit, RemedyAction::None);
    EXPECT_EQ(hint(again).find("it is tried again"), std::string::npos) << hint(again);
}

TEST_F(JudgeTest, OfAFailedDeploymentTheLogIsThatOfTheDeployer) {
    ProcessStatus kept = running(true);
    kept.revision = 1;
    kept.update = UpdateProgress{.revision = 2, .fallback = 1, .phase = UpdatePhase::RolledBack};
    kept.update->reason = reason(StopKind::DeployFailed);
    kept.id = wiki.id;
    kept.name = "wiki";
    kept.node = "home1";
    own->set(keys::status("home1", wiki.id), status_to_json(kept));
    Awaited awaited{wiki.id, "wiki", "home1"};
    awaited.revision = 2;
    const auto judged = judge(api->view(), awaited);
    ASSERT_TRUE(judged && !*judged);
    EXPECT_EQ(judged->error().hint.find("p2prc logs wiki --deploy shows more, p2prc history wiki"), 0U)
        << judged->error().hint;
}

TEST_F(JudgeTest, WhatSystemdLogsBeforeTheCommandIsNoHelp) {
    ProcessStatus over;
    over.state = ProcessState::Failed;
    over.reason = reason(StopKind::StartFailed);
    over.reason->step = "CREDENTIALS";
    over.reason->detail = "/etc/users of run.credentials is not there";
    over.reason->log = {"Failed at step CREDENTIALS spawning /bin/true: Protocol error"};
    EXPECT_EQ(verdict(wiki, over), "process 'wiki' did not start: start-failed at CREDENTIALS: /etc/users of "
                                   "run.credentials is not there");
}

TEST_F(JudgeTest, AWaitThatEndsSaysWhatItWasFor) {
    auto status = running(false);
    status.waits_for = "it does not listen at its port 8080";
    verdict(wiki, status);
    Waits waits(bus.io.get_executor(), api->view());
    Awaited awaited{wiki.id, "wiki", "home1"};
    awaited.timeout = std::chrono::seconds(1);
    const auto waited = bus.run(waits.until(awaited));
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().message,
              "process 'wiki' runs, but is not ready after 1 second: it does not listen at its port 8080");
}

TEST(WaitOptions, TheFileSaysHowLongByDefault) {
    using std::chrono::seconds;
    ProcessSpec spec;
    EXPECT_EQ(wait_time({}, spec), seconds(60));
    spec.ready.timeout = seconds(180);
    EXPECT_GT(wait_time({}, spec), seconds(180)) << "it is stopped then, and that takes a while";
    spec.ready.timeout = seconds(5);
    EXPECT_EQ(wait_time({}, spec), seconds(60));
    EXPECT_EQ(wait_time({.timeout = seconds(7)}, spec), seconds(7));
}

TEST(WaitOptions, AreChecked) {
    EXPECT_EQ(wait_options(Json::object()).value().goal, Goal::Ready);
    EXPECT_EQ(wait_options({{"until", "started"}}).value().goal, Goal::Started);
    EXPECT_EQ(wait_options({{"timeout_seconds", 7}}).value().timeout, std::chrono::seconds(7));
    for (const Json& wrong :
         {Json{{"until", "later"}}, Json{{"timeout_seconds", 0}}, Json{{"timeout_seconds", 901}},
          Json{{"timeout_seconds", "1"}}, Json{{"paitence", 1}}})
        EXPECT_FALSE(wait_options(wrong)) << wrong;
}

} // namespace
} // namespace p2prc::daemon
