// What the remedies of a process file do about a failure.
#include "core/revision.h"
#include "process/deployed.h"
#include "state/pauses.h"
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>
#include <ctime>
#include <fstream>

namespace p2prc::process {
namespace {

using testing::HasSubstr;
using Do = RemedyAction;

class RemediesTest : public RetryTest {
  protected:
    void spin(RemedyAction action, StopKind kind = StopKind::ExitCode, Restart restart = Restart::No) {
        web = record();
        web.spec.run.restart = restart;
        web.spec.remedies = {{kind, "", std::nullopt, action}};
        web.digest = spec_digest(web.spec);
        start();
        want(web);
        expect(ProcessState::Running);
    }
    int starts() { return count("start " + unit); }
    void comes(int number) {
        loop.restart();
        EXPECT_TRUE(test::eventually(loop, [&] { return starts() == number; })) << starts();
        run();
    }
    // Lets pass the time after which one without remedies, which ends as this one did, is tried again.
    void let_another_be_tried_again() {
        const std::string other_unit = "p2prc-other.service";
        auto other = record(8, "other");
        other.spec.run.restart = Restart::OnFailure;
        other.digest = spec_digest(other.spec);
        want(other);
        systemd.end(other_unit, {"exit-code", CLD_EXITED, 1, ""});
        loop.restart();
        EXPECT_TRUE(test::eventually(loop, [&] { return count("start " + other_unit) == 2; }));
        run();
    }
    const RemedyProgress& progress() {
        last = status();
        if (!last->remedy) last->remedy = RemedyProgress();
        return *last->remedy;
    }
    void install(const std::string& name, mode_t mode = 0755) {
        const auto place = directory / "notify.d";
        fs::create_directories(place);
        chmod(place.c_str(), 0755);
        std::ofstream(place / name) << "#!/bin/sh\n";
        chmod((place / name).c_str(), mode);
    }
    Json notice(std::size_t number = 0) {
        std::array<char, 65536> text{};
        const auto size = ::pread(systemd.notices.at(number)->get(), text.data(), text.size(), 0);
        return Json::parse(text.data(), text.data() + size);
    }
    // As it would be after so many in this hour.
    void has_done(RemedyAction action, int times) {
        auto now = *status();
        now.remedy = RemedyProgress();
        for (int one = 0; one < times; ++one)
            now.remedy->done.push_back({action, std::time(nullptr) - 60});
        own->set(keys::status("home1", 7), status_to_json(now));
    }

    ProcessRecord web;
    std::optional<ProcessStatus> last;
};

TEST_F(RemediesTest, ARestartAfterAPauseThatGrows) {
    spin(Do::Restart);
    give_up();
    comes(2);
    expect(ProcessState::Running, StopKind::ExitCode);
    ASSERT_EQ(progress().done.size(), 1u);
    EXPECT_EQ(progress().done[0].action, Do::Restart);
    EXPECT_FALSE(progress().decided);
    give_up();
    expect(ProcessState::Failed);
    ASSERT_TRUE(progress().planned);
    EXPECT_EQ(progress().planned->left, 3u);
    comes(3);
    EXPECT_EQ(progress().done.size(), 2u);
}

TEST_F(RemediesTest, GoesOnAfterARestartOfTheDaemon) {
    spin(Do::Restart);
    has_done(Do::Restart, 3);
    give_up();
    const auto planned = progress().planned;
    ASSERT_TRUE(planned);
    daemon_restart();
    EXPECT_EQ(starts(), 0);
    EXPECT_EQ(progress().planned, planned);
    comes(1);
    EXPECT_EQ(progress().done.size(), 4u);
}

TEST_F(RemediesTest, WhatIsUsedUpIsToldOnceAndThenLeft) {
    install("mail");
    spin(Do::Restart);
    has_done(Do::Restart, 5);
    give_up();
    expect(ProcessState::Failed, StopKind::ExitCode);
    ASSERT_EQ(systemd.notices.size(), 1u);
    EXPECT_THAT(notice()["next"].get<std::string>(), HasSubstr("5 actions this hour are used up"));
    EXPECT_THAT(progress().held, HasSubstr("no restart until 20"));
    daemon_restart();
    EXPECT_EQ(systemd.notices.size(), 1u);
    EXPECT_EQ(starts(), 0);
    // Somebody starts it: all is as at first.
    web.change = 2;
    want(web);
    expect(ProcessState::Running);
    EXPECT_TRUE(progress().done.empty());
}

TEST_F(RemediesTest, WhatMayPassIsTriedAgainThoughTheBudgetIsUsedUp) {
    first_retry_pause = std::chrono::milliseconds(300);
    spin(Do::Restart, StopKind::StartLimit, Restart::OnFailure);
    has_done(Do::Restart, 5);
    give_up();
    comes(2);
    expect(ProcessState::Running, StopKind::StartLimit);
}

TEST_F(RemediesTest, ARestartIsInsteadOfAnAttemptByItself) {
    first_retry_pause = std::chrono::milliseconds(1);
    spin(Do::Restart, StopKind::ExitCode, Restart::OnFailure);
    has_done(Do::Restart, 4); // the next one comes in 16 s
    give_up();
    let_another_be_tried_again();
    expect(ProcessState::Failed, StopKind::StartLimit);
    EXPECT_EQ(starts(), 1);
    EXPECT_EQ(progress().retry_at, 0);
    EXPECT_EQ(status()->reason->detail.find("tried again"), std::string::npos) << status()->reason->detail;
    EXPECT_EQ(status()->reason->cause, StopKind::ExitCode);
}

TEST_F(RemediesTest, NoneLeavesIt) {
    first_retry_pause = std::chrono::milliseconds(1);
    spin(Do::None, StopKind::StartLimit, Restart::OnFailure);
    give_up();
    expect(ProcessState::Failed, StopKind::StartLimit);
    reconciler->network_changed();
    let_another_be_tried_again();
    EXPECT_EQ(starts(), 1);
    daemon_restart();
    run();
    EXPECT_EQ(starts(), 0);
    EXPECT_EQ(next_text(progress(), *status()->reason, std::time(nullptr)), "");
}

TEST_F(RemediesTest, NothingIsDoneAboutWhatSomebodyAskedFor) {
    spin(Do::Restart);
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(starts(), 1);
    EXPECT_FALSE(progress().decided);
}

TEST_F(RemediesTest, WhatIsStoppedWhileItWaitsStaysDown) {
    spin(Do::Restart);
    has_done(Do::Restart, 4);
    give_up();
    ASSERT_TRUE(progress().planned);
    web.desired = Desired::Stopped;
    web.change = 2;
    want(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    daemon_restart();
    EXPECT_EQ(starts(), 0);
}

TEST_F(RemediesTest, NothingIsStartedThatIsPaused) {
    spin(Do::Restart);
    has_done(Do::Restart, 2);
    give_up();
    ASSERT_TRUE(progress().planned);
    state::Pauses pauses(*own);
    pauses.pause(web, {"bob@home1", "2026-01-02T03:04:05Z"});
    run();
    loop.restart();
    loop.run_for(std::chrono::seconds(6));
    EXPECT_EQ(starts(), 1) << "it would have been started after four seconds";
    EXPECT_TRUE(pauses.resume(web));
    comes(2);
    expect(ProcessState::Running, StopKind::Paused);
}

TEST_F(RemediesTest, PeopleAreTold) {
    install("mail");
    install("webhook");
    install("left-over.dpkg-old");
    install("for-all", 0777);
    spin(Do::Notify);
    give_up();
    ASSERT_EQ(systemd.notices.size(), 2u);
    EXPECT_THAT(systemd.calls,
                testing::Contains("start " + notifier_unit_name("web", "mail", progress().telling)));
    EXPECT_THAT(warnings, testing::Contains(HasSubstr("for-all could be changed by others than root")));
    const auto said = notice();
    EXPECT_EQ(said["node"], "home1");
    EXPECT_EQ(said["process"], "web");
    EXPECT_EQ(said["id"], 7);
    EXPECT_EQ(said["revision"], 1);
    EXPECT_EQ(said["reason"]["kind"], "exit-code");
    EXPECT_EQ(said["reason"]["code"], 1);
    EXPECT_EQ(said["reason"]["log"], Json::array({"last words"}));
    EXPECT_EQ(said["at"], said["reason"]["at"]);
    EXPECT_TRUE(said["next"].is_null());
    // Once, and it stays failed.
    daemon_restart();
    EXPECT_EQ(systemd.notices.size(), 2u);
    expect(ProcessState::Failed);
    EXPECT_EQ(progress().done.size(), 1u);
}

// p2prcd was ended between the start of a program and the note that it was started.
TEST_F(RemediesTest, PeopleAreToldOnce) {
    install("mail");
    install("webhook");
    release_after = std::chrono::hours(1);
    spin(Do::Notify);
    give_up();
    ASSERT_EQ(systemd.notices.size(), 2u);
    auto before = *status();
    before.remedy->planned = RemedyPlanned{RemedyAction::Notify, 1, 0, 4};
    before.remedy->done.clear();
    reconciler.reset();
    own->set(keys::status("home1", 7), status_to_json(before));
    const auto second = notifier_unit_name("web", "webhook", before.remedy->telling);
    systemd.notice_units.erase(second); // that one was not started
    daemon_restart();
    EXPECT_EQ(systemd.notices.size(), 3u);
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"start " + second}));
    EXPECT_EQ(progress().done.size(), 1u);
    // Their units are let go of.
    release_after = std::chrono::milliseconds(1);
    daemon_restart();
    EXPECT_EQ(systemd.notices.size(), 3u);
    EXPECT_THAT(systemd.calls, testing::Contains("stop " + second));
}

TEST_F(RemediesTest, ANoticeThatCannotBeGivenNowIsGivenLater) {
    install("mail");
    systemd.refuse_notice = Error{ErrorCode::Unreachable, "systemd does not answer", ""};
    spin(Do::Notify);
    give_up();
    EXPECT_TRUE(systemd.notices.empty());
    EXPECT_TRUE(progress().done.empty());
    systemd.refuse_notice.reset();
    loop.restart();
    EXPECT_TRUE(test::eventually(loop, [&] { return systemd.notices.size() == 1; }));
    run();
    EXPECT_EQ(progress().done.size(), 1u);
}

TEST_F(RemediesTest, ANotifierCanDoLittle) {
    const auto unit = notifier_unit("web", "/etc/p2prc/notify.d/mail");
    const auto value = [&](const std::string& name) {
        for (const auto& property : unit)
            if (property.name == name) return property.value;
        return Json();
    };
    EXPECT_EQ(value("DynamicUser"), true);
    EXPECT_EQ(value("CapabilityBoundingSet"), 0);
    EXPECT_EQ(value("ProtectSystem"), "strict");
    EXPECT_EQ(value("RuntimeMaxUSec"), 60'000'000);
    EXPECT_EQ(value("RemainAfterExit"), true);
    EXPECT_TRUE(check_properties(unit));
    EXPECT_EQ(value("LogExtraFields"), Json()); // nobody takes it for the process
}

TEST_F(RemediesTest, WhatMayPassIsTriedAgainAfterPeopleWereTold) {
    install("mail");
    first_retry_pause = std::chrono::milliseconds(300);
    spin(Do::Notify, StopKind::StartLimit, Restart::OnFailure);
    give_up();
    comes(2);
    EXPECT_EQ(systemd.notices.size(), 1u);
    EXPECT_EQ(notice()["next"], "it is tried again");
    expect(ProcessState::Running);
}

TEST_F(RemediesTest, AnUpdateThatWasGoodIsTakenBack) {
    spin(Do::Rollback);
    const auto old = web.digest;
    web.outcome = Outcome::Good;
    Revision next = present_revision(web);
    next.number = 2;
    next.spec.run.command = {"/usr/bin/web2"};
    next.digest = spec_digest(next.spec);
    next.outcome = Outcome::Pending;
    replace_revision(web, std::move(next), Outcome::Good);
    web.change = 2;
    want(web);
    loop.restart();
    EXPECT_TRUE(test::eventually(
        loop, [&] { return status()->update && status()->update->phase == UpdatePhase::Good; }));
    web.outcome = Outcome::Good;
    want(web);
    give_up();
    expect(ProcessState::Running, StopKind::UpdateFailed);
    EXPECT_THAT(status()->reason->detail, HasSubstr("revision 2 was not kept: exit-code 1"));
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(status()->digest, old);
    EXPECT_EQ(status()->update->phase, UpdatePhase::RolledBack);
    EXPECT_EQ(progress().done.size(), 1u);
    // It stays with that one, and there is nothing further to go back to.
    give_up();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_THAT(progress().held, HasSubstr("no earlier revision that was good"));
}

TEST_F(RemediesTest, WhatWasDeployedIsDeployedAgain) {
    fs::create_directories(directory / "deployers");
    chmod((directory / "deployers").c_str(), 0755);
    std::ofstream(directory / "deployers/script") << "#!/bin/sh\n";
    chmod((directory / "deployers/script").c_str(), 0755);
    int runs = 0;
    web = record();
    web.spec.run.restart = Restart::No;
    web.spec.deploy = {"script", "true\n"};
    web.spec.remedies = {{StopKind::ExitCode, "", std::nullopt, Do::Redeploy}};
    web.digest = spec_digest(web.spec);
    systemd.deployer = [&] {
        ++runs;
        const auto path = directory / "hidden/web" / deploy_digest(web.spec);
        EXPECT_FALSE(fs::exists(path)) << "what was there is removed first";
        fs::create_directories(path);
        std::ofstream(path / ".p2prc") << "";
        return std::string("done");
    };
    start();
    want(web);
    expect(ProcessState::Running);
    EXPECT_EQ(runs, 1);
    give_up();
    comes(2);
    EXPECT_EQ(runs, 2);
    expect(ProcessState::Running, StopKind::ExitCode);
}

TEST_F(RemediesTest, AMoveIsAskedForAndNotMadeHere) {
    spin(Do::Move);
    auto free = web;
    free.spec.run.data = false;
    free.digest = spec_digest(free.spec);
    // With data it stays.
    give_up();
    expect(ProcessState::Failed);
    EXPECT_THAT(progress().held, HasSubstr("its data is on this node"));
    free.change = 2;
    free.revision = 2;
    want(free);
    give_up();
    ASSERT_TRUE(progress().planned);
    EXPECT_EQ(progress().planned->action, Do::Move);
    EXPECT_EQ(progress().planned->left, 2u);
    free.move_refused = "home2: memory";
    want(free);
    EXPECT_EQ(progress().held, "not yet: home2: memory");
    EXPECT_EQ(starts(), 2);
}

TEST_F(RemediesTest, ARetryIsSaidToComeNext) {
    start();
    want(record());
    give_up();
    EXPECT_THAT(next_text(progress(), *status()->reason, std::time(nullptr)),
                HasSubstr("another attempt in "));
    reconciler->network_changed();
    run();
    expect(ProcessState::Running);
    EXPECT_EQ(progress().retry_at, 0);
}

} // namespace
} // namespace p2prc::process
