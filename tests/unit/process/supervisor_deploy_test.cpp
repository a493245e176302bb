// What a deployer prepares before a start.
#include "process/deployed.h"
#include "tests/unit/process/reconciler_fixture.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace p2prc::process {
namespace {

const std::string deploy = "p2prcd-deploy-web.service";

class DeployTest : public RetryTest {
  protected:
    DeployTest() {
        install("script");
        systemd.deployer = [this] { return result("ENV.A=b\n"); };
    }

    void install(const std::string& name, const std::string& settings = {}) {
        fs::create_directories(directory / "deployers");
        chmod((directory / "deployers").c_str(), 0755);
        std::ofstream(directory / "deployers" / name) << "#!/bin/sh\n";
        chmod((directory / "deployers" / name).c_str(), 0755);
        if (!settings.empty()) std::ofstream(directory / "deployers" / (name + ".toml")) << settings;
    }
    ProcessRecord deployed(std::string script = "true\n") {
        auto web = record();
        web.spec.deploy = {"script", std::move(script)};
        web.digest = spec_digest(web.spec);
        return web;
    }
    fs::path place(const ProcessRecord& web) { return directory / "hidden/web" / deploy_digest(web); }
    // A deployer that leaves an image's root, with links to its volumes.
    std::string rooted(const std::vector<std::string>& volumes) {
        std::string text = "ROOT=rootfs\n";
        fs::create_directories(place(now) / "rootfs");
        for (const auto& volume : volumes) {
            fs::create_symlink("/var/lib/p2prc-data/web/" + volume, place(now) / "rootfs" / volume);
            text += "VOLUME=" + volume + "\n";
        }
        return result(text);
    }
    // A deployer that leaves this as its result.
    std::string result(const std::string& text) {
        ++runs;
        const auto path = place(now);
        left_over = fs::exists(path);
        fs::create_directories(path);
        std::ofstream(path / ".p2prc") << text;
        return "done";
    }
    void spin(const ProcessRecord& web) {
        now = web;
        want(web);
    }
    void fails_with(int code) {
        systemd.deployer = [this] {
            result("");
            return std::string("failed");
        };
        systemd.deploy_ended = {"exit-code", CLD_EXITED, code, ""};
    }
    Json property(const std::string& of, const std::string& name) {
        for (const auto& one : systemd.started.at(of))
            if (one.name == name) return one.value;
        return nullptr;
    }

    ProcessRecord now;
    int runs = 0;
    bool left_over = false;
};

TEST_F(DeployTest, ItRunsBeforeTheProcess) {
    start();
    spin(deployed("echo\n"));
    expect(ProcessState::Running);
    EXPECT_EQ(systemd.calls,
              (std::vector<std::string>{"start " + deploy, "stop " + deploy, "start " + unit}));
    std::array<char, 16> script{};
    ASSERT_EQ(::pread(systemd.deploy_input->get(), script.data(), script.size(), 0), 5);
    EXPECT_STREQ(script.data(), "echo\n");
    EXPECT_EQ(::write(systemd.deploy_input->get(), "x", 1), -1);
    EXPECT_EQ(property(unit, "BindReadOnlyPaths"),
              (Json{{place(now).string(), "/run/p2prc-deploy", false, 0}}));
    EXPECT_THAT(property(unit, "Environment").get<std::vector<std::string>>(),
                testing::IsSupersetOf({"A=b", "DEPLOY=/run/p2prc-deploy"}));
    EXPECT_EQ(property(deploy, "User"), "p2p-web");
}

// Nobody else in the fleet can read its result.
TEST_F(DeployTest, TheCommandOfTheDeployerIsTold) {
    systemd.deployer = [this] { return result("COMMAND=[\"/bin/x\",\"a b\"]\n"); };
    start();
    auto web = deployed();
    const auto own = web.spec.run;
    web.spec.run.command.clear();
    web.spec.run.shell = false;
    web.digest = spec_digest(web.spec);
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->command, "/bin/x 'a b'");
    daemon_restart();
    EXPECT_EQ(status()->command, "/bin/x 'a b'");
    web.spec.run = own; // what its file says counts
    web.digest = spec_digest(web.spec);
    ++web.change;
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->command, "");
}

TEST_F(DeployTest, OnceForADigest) {
    start();
    auto web = deployed();
    spin(web);
    ++web.change;
    spin(web);
    daemon_restart();
    daemon_restart(true);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(count("start " + unit), 1); // of the last boot
    web.spec.limits.tasks = 9;
    web.digest = spec_digest(web.spec);
    ++web.change;
    spin(web);
    EXPECT_EQ(runs, 1);
    web = deployed("another\n");
    web.change = 9;
    spin(web);
    EXPECT_EQ(runs, 2);
    expect(ProcessState::Running);
}

TEST_F(DeployTest, AnotherProcessOfTheNameIsDeployedAnew) {
    start();
    spin(deployed());
    kill(7, "web");
    auto web = deployed();
    web.id = 8;
    spin(web);
    EXPECT_EQ(runs, 2);
    EXPECT_FALSE(left_over);
}

TEST_F(DeployTest, TheCommandMayComeFromIt) {
    systemd.deployer = [this] { return result("COMMAND=[\"/run/p2prc-deploy/x\"]\nDIR=out\n"); };
    auto web = deployed();
    web.spec.run.command.clear();
    web.digest = spec_digest(web.spec);
    fs::create_directories(place(web) / "out");
    start();
    EXPECT_TRUE(reconciler->check_spec(web.spec));
    spin(web);
    // What was there before is removed; the deployer makes it again.
    expect(ProcessState::Failed, StopKind::DeployFailed);
    systemd.deployer = [this] {
        fs::create_directories(place(now) / "out");
        return result("COMMAND=[\"/run/p2prc-deploy/x\"]\nDIR=out\n");
    };
    ++web.change;
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(property(unit, "BindReadOnlyPaths").at(0).at(0), (place(web) / "out").string());
}

TEST_F(DeployTest, AFailureIsTheReasonAndIsNotRepeated) {
    fails_with(3);
    start();
    auto web = deployed();
    spin(web);
    expect(ProcessState::Failed, StopKind::DeployFailed);
    EXPECT_EQ(status()->reason->step, "exit 3");
    EXPECT_EQ(status()->reason->log, std::vector<std::string>{"last words"});
    EXPECT_FALSE(fs::exists(place(web)));
    daemon_restart();
    daemon_restart(true);
    EXPECT_EQ(runs, 1);
    expect(ProcessState::Failed, StopKind::DeployFailed);
    ++web.change;
    spin(web);
    EXPECT_EQ(runs, 2);
}

TEST_F(DeployTest, NotNowIsTriedAgain) {
    fails_with(75);
    systemd.deployer = [this] {
        result("");
        if (runs == 3) return std::string("done");
        EXPECT_EQ(status()->state, ProcessState::Deploying);
        return std::string("failed");
    };
    start();
    spin(deployed());
    EXPECT_EQ(runs, 3);
    EXPECT_FALSE(left_over);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->waits_for, "");
}

TEST_F(DeployTest, TheEndSaysHow) {
    start();
    auto web = deployed();
    for (const auto& [ended, job, step] :
         {std::tuple(UnitResult{"timeout", CLD_KILLED, SIGTERM, ""}, "failed", "timeout"),
          std::tuple(UnitResult{"oom-kill", CLD_KILLED, SIGKILL, ""}, "failed", "oom-kill"),
          std::tuple(UnitResult{"signal", CLD_KILLED, SIGSEGV, ""}, "failed", "SIGSEGV"),
          std::tuple(UnitResult{"exit-code", CLD_EXITED, 203, ""}, "failed", "EXEC"),
          std::tuple(UnitResult{}, "canceled", "stopped")}) {
        systemd.deploy_ended = ended;
        systemd.deployer = [job = std::string(job)] { return job; };
        ++web.change;
        spin(web);
        expect(ProcessState::Failed, StopKind::DeployFailed);
        EXPECT_EQ(status()->reason->step, step);
    }
}

TEST_F(DeployTest, AStopEndsIt) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    auto web = deployed();
    spin(web);
    expect(ProcessState::Deploying);
    EXPECT_EQ(status()->waits_for, "the deployer 'script' prepares it");
    fs::create_directories(place(web));
    web.desired = Desired::Stopped;
    ++web.change;
    spin(web);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(count("stop " + deploy), 1);
    EXPECT_FALSE(fs::exists(place(web)));
    EXPECT_EQ(count("start " + unit), 0);
}

TEST_F(DeployTest, AKillEndsIt) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    spin(deployed());
    kill(7, "web");
    EXPECT_EQ(count("stop " + deploy), 1);
    expect(ProcessState::Stopped, StopKind::Killed);
}

TEST_F(DeployTest, ANewerSpinEndsIt) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    spin(deployed());
    systemd.deploy_takes = std::chrono::milliseconds(0);
    auto web = deployed("newer\n");
    ++web.change;
    spin(web);
    EXPECT_EQ(count("start " + deploy), 2);
    EXPECT_EQ(runs, 1);
    expect(ProcessState::Running);
}

TEST_F(DeployTest, WhatWasInterruptedBeginsAnew) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    spin(deployed());
    fs::create_directories(place(now));
    systemd.deploy_takes = std::chrono::milliseconds(0);
    daemon_restart(true);
    EXPECT_EQ(runs, 1);
    EXPECT_FALSE(left_over);
    expect(ProcessState::Running);
}

TEST_F(DeployTest, TwoAtATime) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    for (const auto& [id, name] : {std::pair(7U, "web"), std::pair(8U, "photos"), std::pair(9U, "wiki")}) {
        auto one = record(id, name);
        one.spec.deploy = {"script", "x"};
        one.digest = spec_digest(one.spec);
        state::Origins(*own).note(one.spec); // of this node: one maker of another has one at a time
        want(one);
    }
    expect(ProcessState::Deploying, {}, 9);
    EXPECT_EQ(status(9)->waits_for, "it waits for photos, web, which are being deployed");
    kill(8, "photos");
    EXPECT_EQ(status(9)->waits_for, "the deployer 'script' prepares it");
}

TEST_F(DeployTest, WhoWaitsForATurnIsStoppedAtOnce) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    std::vector<ProcessRecord> all;
    for (const auto& [id, name] : {std::pair(7U, "web"), std::pair(8U, "photos"), std::pair(9U, "wiki")}) {
        auto one = record(id, name);
        one.spec.deploy = {"script", "x"};
        one.digest = spec_digest(one.spec);
        state::Origins(*own).note(one.spec);
        want(one);
    }
    kill(9, "wiki");
    expect(ProcessState::Stopped, StopKind::Killed, 9);
    kill(8, "photos");
    EXPECT_EQ(count("start p2prcd-deploy-wiki.service"), 0);
}

TEST_F(DeployTest, AMissingDeployer) {
    auto web = deployed();
    web.spec.deploy.strategy = "nowhere";
    web.digest = spec_digest(web.spec);
    start();
    spin(web);
    expect(ProcessState::Failed, StopKind::DeployFailed);
    EXPECT_EQ(status()->reason->step, "missing");
    install("script", "needs = ['/no/such/program']\n");
    web = deployed();
    ++web.change;
    ++web.change;
    spin(web);
    EXPECT_EQ(status()->reason->step, "missing");
    EXPECT_THAT(status()->reason->detail, testing::HasSubstr("/no/such/program"));
    EXPECT_EQ(runs, 0);
}

TEST_F(DeployTest, AMissingDeployerIsRefusedBeforeItIsSpun) {
    start();
    auto web = deployed();
    EXPECT_TRUE(reconciler->check_spec(web.spec));
    spin(web);
    install("script", "needs = ['/no/such/program']\n");
    EXPECT_TRUE(reconciler->check_spec(web.spec)) << "it is deployed";
    web.spec.deploy.script = "another";
    EXPECT_EQ(reconciler->check_spec(web.spec).error().code, ErrorCode::NoSuitableNode);
    web.spec.deploy.strategy = "nowhere";
    EXPECT_EQ(reconciler->check_spec(web.spec).error().code, ErrorCode::NoSuitableNode);
}

TEST_F(DeployTest, AnotherNodeGetsNoRoot) {
    install("script", "as = 'root'\n");
    start();
    auto web = deployed();
    spin(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_THAT(status()->reason->detail, testing::HasSubstr("the deployer 'script', which runs as root"));
    reconciler->set_remote_spin(RemoteSpin::Any);
    systemd.deployer = [this] {
        ++runs;
        fs::create_directories(directory / "deploy/web" / deploy_digest(now.spec));
        return std::string("done");
    };
    ++web.change;
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(property(deploy, "User"), nullptr);
}

TEST_F(DeployTest, WhatNoProcessNeedsIsRemoved) {
    start();
    spin(deployed());
    kill(7, "web");
    EXPECT_TRUE(fs::exists(place(now)));
    reconciler->tidy_deployments();
    run();
    EXPECT_FALSE(fs::exists(directory / "hidden/web"));
    EXPECT_FALSE(fs::exists(directory / "deployments/web"));
}

TEST_F(DeployTest, TheLastThreeResultsStay) {
    start();
    std::vector<fs::path> places;
    for (const auto* script : {"1", "2", "3", "4"}) {
        auto web = deployed(script);
        web.change = 10 + places.size();
        spin(web);
        places.push_back(place(web));
        // The order of their notes is by the clock of the file system.
        fs::last_write_time(directory / "deployments/web" / deploy_digest(web.spec),
                            fs::file_time_type::clock::now() + std::chrono::seconds(places.size()));
    }
    reconciler->tidy_deployments();
    run();
    EXPECT_FALSE(fs::exists(places[0]));
    for (std::size_t kept = 1; kept < places.size(); ++kept)
        EXPECT_TRUE(fs::exists(places[kept])) << kept;
}

// The next revision of `web`, for which its deployer runs anew.
ProcessRecord again(ProcessRecord web) {
    web.former = {present_revision(web)};
    web.former[0].outcome = Outcome::Good;
    web.deployment = ++web.revision;
    web.outcome = Outcome::Pending;
    ++web.change;
    return web;
}

TEST_F(DeployTest, ItIsDeployedAnewWhileTheOldResultServes) {
    start();
    spin(deployed());
    const auto old = place(now);
    systemd.calls.clear();
    spin(again(now));
    expect(ProcessState::Running);
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(systemd.calls, (std::vector<std::string>{"start " + deploy, "stop " + deploy, "stop " + unit,
                                                       "start " + unit}));
    EXPECT_NE(place(now), old);
    EXPECT_EQ(property(unit, "BindReadOnlyPaths").at(0).at(0), place(now).string());
    EXPECT_TRUE(fs::exists(old)) << "the last good revision has it";
}

// That takes minutes, and what served may end within them.
TEST_F(DeployTest, TheEndOfWhatServedMeanwhileIsTold) {
    start();
    spin(deployed());
    systemd.deploy_takes = std::chrono::hours(1);
    spin(again(now));
    expect(ProcessState::Running);
    give_up();
    expect(ProcessState::Failed, StopKind::StartLimit);
    EXPECT_EQ(status()->pid, 0u);
    EXPECT_EQ(status()->revision, 1u);
    EXPECT_EQ(count("stop " + deploy), 1); // the first one's, which was over
}

TEST_F(DeployTest, WhatServesMeanwhileMayStartAgain) {
    start();
    spin(deployed());
    systemd.deploy_takes = std::chrono::hours(1);
    spin(again(now));
    const UnitResult crash{"exit-code", CLD_EXITED, 1, ""};
    systemd.crash_and_restart(unit, crash);
    run();
    expect(ProcessState::Starting, StopKind::ExitCode);
    systemd.runs_again(unit);
    run();
    expect(ProcessState::Running);
    EXPECT_EQ(status()->pid, 100u);
    EXPECT_EQ(status()->invocation, systemd.loaded.at(unit).invocation);
    systemd.crash_and_restart(unit, crash);
    run();
    systemd.end(unit, crash); // the same end, and no further attempt
    run();
    expect(ProcessState::Failed, StopKind::StartLimit);
}

TEST_F(DeployTest, WhatCannotBeDeployedAnewRunsOn) {
    start();
    spin(deployed());
    const auto old = place(now);
    systemd.calls.clear();
    fails_with(3);
    spin(again(now));
    EXPECT_EQ(count("stop " + unit), 0);
    EXPECT_EQ(status()->update->phase, UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->step, "exit 3");
    EXPECT_TRUE(fs::exists(old));
}

// Its record may come from a conquered root, which has the number, and no right to have the script run with
// what this node gave to a user of its own.
TEST_F(DeployTest, NobodyElseHasTheDeployerOfALocalProcessRunAnew) {
    auto web = deployed();
    web.spec.run.credentials = {{"key", "/etc/key"}}; // as only what is spun here may have
    web.digest = spec_digest(web.spec);
    state::Origins origins(*own);
    origins.note(web.spec);
    start();
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(runs, 1);
    spin(again(now));
    EXPECT_EQ(runs, 1);
    expect(ProcessState::Running);
    EXPECT_EQ(status()->update->phase, UpdatePhase::RolledBack);
    EXPECT_EQ(status()->update->reason->step, "policy");
    // A later p2prcd believes as little.
    daemon_restart(true);
    EXPECT_EQ(runs, 1);
    // A user of this node asks for it.
    web = now;
    origins.note_redeployment(web);
    spin(again(web));
    expect(ProcessState::Running);
    EXPECT_EQ(runs, 2);
    // Once.
    spin(again(now));
    EXPECT_EQ(runs, 2);
}

TEST_F(DeployTest, WithoutVolumesThereIsNothingToMake) {
    systemd.deployer = [this] { return rooted({}); };
    start();
    auto web = deployed();
    web.spec.run.data = true;
    web.digest = spec_digest(web.spec);
    state::Origins(*own).note(web.spec);
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(count("start p2prcd-volumes-web.service"), 1); // systemd makes no link to its data
    fs::create_directories(directory / "data/web");
    ++web.change;
    spin(web);
    expect(ProcessState::Running);
    EXPECT_EQ(count("start p2prcd-volumes-web.service"), 1);
}

// They may take minutes.
TEST_F(DeployTest, AStopDoesNotWaitForVolumes) {
    const std::string volumes = "p2prcd-volumes-web.service";
    systemd.deployer = [this] { return rooted({"wiki"}); };
    systemd.volumes_take = std::chrono::hours(1);
    start();
    auto web = deployed();
    web.spec.run.data = true;
    web.digest = spec_digest(web.spec);
    state::Origins(*own).note(web.spec);
    spin(web);
    expect(ProcessState::Starting);
    EXPECT_EQ(count("start " + volumes), 1);
    web.desired = Desired::Stopped;
    ++web.change;
    want(web);
    EXPECT_EQ(count("stop " + volumes), 1);
    expect(ProcessState::Stopped, StopKind::Stopped);
    EXPECT_EQ(count("start " + unit), 0);
    // So does a restart, which begins anew.
    web.desired = Desired::Running;
    ++web.change;
    want(web);
    ++web.change;
    systemd.volumes_take = {};
    want(web);
    EXPECT_EQ(count("stop " + volumes), 2);
    kill(7, "web");
    expect(ProcessState::Stopped, StopKind::Killed);
}

// What a machine allows may change while a deployer of another node's process waits or runs.
TEST_F(DeployTest, WhatIsNotAllowedAnyMoreIsEnded) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    spin(deployed());
    expect(ProcessState::Deploying);
    reconciler->set_remote_spin(RemoteSpin::No, {});
    run();
    EXPECT_EQ(count("stop " + deploy), 1);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    // And what was refused is started once it is allowed.
    systemd.deploy_takes = {};
    reconciler->set_remote_spin(RemoteSpin::Sandboxed, {});
    run();
    expect(ProcessState::Running);
}

class CleanTest : public DeployTest {
  protected:
    void make(const fs::path& path) {
        fs::create_directories(path);
        std::ofstream(path / "file") << "x";
    }
    Result<Cleaned> clean(const std::string& name = "") {
        Result<Cleaned> result;
        boost::asio::co_spawn(loop, reconciler->clean_deployments(name),
                              [&result](const std::exception_ptr& thrown, Result<Cleaned> done) {
                                  EXPECT_FALSE(thrown);
                                  result = std::move(done);
                              });
        run();
        return result;
    }
};

TEST_F(CleanTest, WhatNoRevisionNeedsGoesWithTheCaches) {
    systemd.deployer = [this] { return result("RESOLVED=sha256:0123\n"); };
    start();
    spin(deployed());
    const auto unneeded = std::string(64, 'a'), leaked = std::string(64, 'b');
    make(directory / "hidden/web" / unneeded);
    std::ofstream(directory / "deployments/web" / unneeded) << "{}";
    make(directory / "deploy/web" / leaked); // of which there is no note
    make(directory / "deploy/.builder" / ("web." + leaked));
    make(directory / "hidden/gone" / unneeded);
    make(directory / "cache/gone");
    make(directory / "hidden-cache/web");
    const auto cleaned = clean();
    ASSERT_TRUE(cleaned) << cleaned.error().message;
    EXPECT_EQ(cleaned->results, 3U);
    EXPECT_EQ(cleaned->bytes, 2 * 4096U);
    EXPECT_TRUE(fs::exists(place(now)));
    for (const auto* path : {"hidden/gone", "cache/gone", "hidden-cache/web"})
        EXPECT_FALSE(fs::exists(directory / path)) << path;
    EXPECT_FALSE(fs::exists(directory / "hidden/web" / unneeded));
    EXPECT_FALSE(fs::exists(directory / "deployments/web" / unneeded));
    EXPECT_FALSE(fs::exists(directory / "deploy/web" / leaked));
    EXPECT_FALSE(fs::exists(directory / "deploy/.builder" / ("web." + leaked)));
    ASSERT_EQ(systemd.cleanings.size(), 2U);
    EXPECT_THAT(systemd.cleanings[1], testing::HasSubstr("\"0123\"")) << "an image that is still used";
    // What runs has all that it needs to be started again.
    now.change += 1;
    spin(now);
    expect(ProcessState::Running);
    EXPECT_EQ(runs, 1);
}

TEST_F(CleanTest, OfOneProcessAlone) {
    start();
    spin(deployed());
    make(directory / "hidden-cache/web");
    make(directory / "hidden-cache/other");
    make(directory / "deploy/.builder");
    EXPECT_EQ(clean("web")->results, 0U);
    EXPECT_FALSE(fs::exists(directory / "hidden-cache/web"));
    EXPECT_TRUE(fs::exists(directory / "hidden-cache/other"));
    EXPECT_EQ(systemd.cleanings.size(), 1U);
    EXPECT_EQ(clean("web")->bytes, 0U) << "nothing is there any more";
    EXPECT_EQ(systemd.cleanings.size(), 1U);
}

TEST_F(CleanTest, NotWhileADeployerRuns) {
    systemd.deploy_takes = std::chrono::hours(1);
    start();
    spin(deployed());
    const auto refused = clean();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Conflict);
    EXPECT_EQ(refused.error().message, "web is being deployed");
    EXPECT_EQ(clean("web").error().code, ErrorCode::Conflict);
    EXPECT_TRUE(clean("other"));
}

} // namespace
} // namespace p2prc::process
