// Processes are kept to their ports.
#include "tests/unit/process/reconciler_fixture.h"
#include "tests/unit/support/eventually.h"

#include <fstream>
#include <ranges>

namespace p2prc::process {
namespace {

TEST_F(RetryTest, ALowPortOfAnotherNodesProcessTakesBpf) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    start();
    auto web = record();
    web.port = web.spec.port = 81;
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    EXPECT_TRUE(systemd.calls.empty());
}

// The machine has BPF, but these programs could not be pinned.
TEST_F(ReconcilerTest, ALowPortOfAnotherNodesProcessTakesItsOwnPrograms) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    systemd.pins = false;
    auto web = record();
    web.port = web.spec.port = 81;
    want(web);
    expect(ProcessState::Failed, StopKind::StartFailed);
    EXPECT_EQ(status()->reason->step, "policy");
    EXPECT_TRUE(systemd.calls.empty());
    web.port = web.spec.port = 8081;
    ++web.change;
    web.digest = spec_digest(web.spec);
    want(web);
    expect(ProcessState::Running);
    EXPECT_EQ(bind_programs(), "none");
}

TEST_F(ReconcilerTest, WhatStartsIsKeptToItsPort) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    want(record());
    EXPECT_EQ(systemd.port_units, (std::vector<std::string>{"p2prcd-ports.service"}));
    EXPECT_EQ(bind_programs(),
              R"([["bind4","/sys/fs/bpf/p2prc/bind4-none"],["bind6","/sys/fs/bpf/p2prc/bind6-none"]])");
    auto web = record();
    web.port = web.spec.port = 81;
    web.digest = spec_digest(web.spec);
    ++web.change; // restarted
    want(web);
    EXPECT_EQ(systemd.port_units,
              (std::vector<std::string>{"p2prcd-ports.service", "p2prcd-ports-web.service"}));
    EXPECT_EQ(bind_programs(),
              R"([["bind4","/sys/fs/bpf/p2prc/bind4-81"],["bind6","/sys/fs/bpf/p2prc/bind6-81"]])");
    ++web.change;
    want(web);
    EXPECT_EQ(systemd.port_units.size(), 2U);
    daemon_restart(true); // pins of all that it has, in one unit
    expect(ProcessState::Running);
    EXPECT_EQ(systemd.port_units.size(), 3U);
    EXPECT_EQ(systemd.port_units.back(), "p2prcd-ports.service");
}

TEST_F(ReconcilerTest, SaysThatItMayNotBindAPort) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    journal.lines = {"    self.socket.bind(self.server_address)",
                     "PermissionError: [Errno 1] Operation not permitted"};
    start();
    auto web = record();
    web.spec.run.command = {"/usr/bin/python3", "-m", "http.server", "8222"};
    web.spec.run.restart = Restart::No;
    web.digest = spec_digest(web.spec);
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->detail, "it may bind no port, as it has none: spin it with --port 8222");
}

TEST_F(RetryTest, WithoutBpfABindIsRefusedForOtherReasons) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    journal.lines = {"bind: Operation not permitted"};
    start();
    auto web = record();
    web.spec.run.restart = Restart::No;
    want(web);
    systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""});
    run();
    expect(ProcessState::Failed, StopKind::ExitCode);
    EXPECT_EQ(status()->reason->detail, "");
}

// Pins of rules that no process has any more are removed: by what the records and the units have, whoever
// pinned them.
TEST_F(ReconcilerTest, ProgramsThatNoProcessNeedsAreRemoved) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    const auto pin = [&](const std::string& rule) {
        fs::create_directories(directory / "pins");
        for (const auto* family : {"bind4-", "bind6-"})
            std::ofstream(directory / "pins" / (family + rule)) << "";
    };
    const auto removed = [&] {
        systemd.port_units.clear();
        systemd.port_words.clear();
        reconciler->tidy_ports();
        run();
        if (systemd.port_units.empty()) return std::string("nothing");
        EXPECT_EQ(systemd.port_units, std::vector<std::string>{"p2prcd-unpin.service"});
        EXPECT_EQ(systemd.port_words.at(1), "--unpin");
        std::string rules;
        for (const auto& rule : systemd.port_words | std::views::drop(2)) {
            rules += rule + " ";
            for (const auto* family : {"bind4-", "bind6-"})
                fs::remove(directory / "pins" / (family + rule));
        }
        return rules;
    };
    auto web = record();
    web.port = web.spec.port = 8081;
    web.digest = spec_digest(web.spec);
    start();
    for (const auto* rule : {"none", "8081", "8082", "8083+8084"})
        pin(rule);
    std::ofstream(directory / "pins" / "another's") << "";
    want(web);
    EXPECT_EQ(removed(), "8082 8083+8084 ");
    EXPECT_EQ(removed(), "nothing");
    // Other ports from its next start on: the unit that runs may be started again by systemd.
    auto& unit_now = systemd.loaded.at(unit);
    unit_now.bind_rule = "8085";
    systemd.tell(UnitView(unit_now));
    pin("8085");
    EXPECT_EQ(removed(), "nothing");
    daemon_restart();
    EXPECT_EQ(removed(), "nothing");
    kill(7, "web");
    EXPECT_EQ(removed(), "8081 8085 ");
    EXPECT_EQ(removed(), "nothing");
}

TEST_F(ReconcilerTest, ProgramsThatCannotBeRemovedAreLeftAlone) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    fs::create_directories(directory / "pins");
    std::ofstream(directory / "pins" / "bind4-8081") << "";
    systemd.pins = false;
    for (int round = 0; round < 2; ++round) {
        reconciler->tidy_ports();
        run();
    }
    EXPECT_EQ(std::ranges::count(systemd.port_units, "p2prcd-unpin.service"), 1);
}

// Between the decision to remove them and their removal a process comes that needs them.
TEST_F(ReconcilerTest, ProgramsThatAreNeededAgainArePinnedAfterTheirRemoval) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    start();
    fs::create_directories(directory / "pins");
    std::ofstream(directory / "pins" / "bind4-8081") << "";
    systemd.unpin_takes = std::chrono::milliseconds(300);
    reconciler->tidy_ports();
    auto web = record();
    web.port = web.spec.port = 8081;
    web.digest = spec_digest(web.spec);
    want(web);
    EXPECT_EQ(systemd.port_units, (std::vector<std::string>{"p2prcd-ports.service", "p2prcd-unpin.service",
                                                            "(is over)", "p2prcd-ports-web.service"}));
    expect(ProcessState::Running);
}

TEST_F(RetryTest, ProgramsThatCouldNotBePinnedAreTriedAgain) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    first_ports_pause = std::chrono::milliseconds(100);
    start();
    EXPECT_GE(systemd.port_units.size(), 3U); // after 100 and 300 ms
    ASSERT_TRUE(reconciler->unconfined());
    systemd.pins = true;
    EXPECT_TRUE(test::eventually(loop, [this] { return !reconciler->unconfined(); }));
    const auto tried = systemd.port_units.size();
    want(record());
    EXPECT_NE(bind_programs(), "none");
    run();
    EXPECT_EQ(systemd.port_units.size(), tried);
}

TEST_F(RetryTest, WithoutBpfProcessesStartUnconfined) {
    systemd.built_with = "+PAM -BPF_FRAMEWORK";
    systemd.pins = false;
    start();
    auto web = record();
    web.port = web.spec.port = 8081;
    want(web);
    expect(ProcessState::Running);
    EXPECT_EQ(bind_programs(), "none");
    EXPECT_EQ(systemd.port_units.size(), 1U); // it was tried once
}

} // namespace
} // namespace p2prc::process
