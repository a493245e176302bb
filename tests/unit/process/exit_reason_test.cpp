#include "process/exit_reason.h"

#include <gtest/gtest.h>

#include <csignal>

namespace p2prc::process {
namespace {

using Asked = StopContext::Asked;

struct Row {
    std::string label;
    UnitResult result;
    StopContext context;
    StopKind kind;
    std::optional<int> code = {};
    std::string signal = {};
    std::string step = {};
    std::string by = {};
};

class ExitReason : public testing::TestWithParam<Row> {};

TEST_P(ExitReason, IsAsTheTableSays) {
    const auto& row = GetParam();
    const auto reason = exit_reason(row.result, row.context);
    EXPECT_EQ(static_cast<int>(reason.kind), static_cast<int>(row.kind));
    EXPECT_EQ(reason.code, row.code);
    EXPECT_EQ(reason.signal, row.signal);
    EXPECT_EQ(reason.step, row.step);
    EXPECT_EQ(reason.by, row.by);
}

const StopContext nobody{};
const StopContext never_executed{Asked::Nobody, "", false, false};
const StopContext gave_up{Asked::Nobody, "", true, true};

INSTANTIATE_TEST_SUITE_P(
    Table, ExitReason,
    testing::Values(
        Row{"finished", {"success", CLD_EXITED, 0, ""}, nobody, StopKind::Finished},
        Row{"exit_code", {"exit-code", CLD_EXITED, 3, ""}, nobody, StopKind::ExitCode, 3},
        Row{"exit_code_of_its_own_in_systemds_range",
            {"exit-code", CLD_EXITED, 203, ""},
            nobody,
            StopKind::ExitCode,
            203},
        Row{"signal", {"signal", CLD_KILLED, SIGKILL, ""}, nobody, StopKind::Signal, {}, "SIGKILL"},
        Row{"sigterm_is_clean_to_systemd",
            {"success", CLD_KILLED, SIGTERM, ""},
            nobody,
            StopKind::Signal,
            {},
            "SIGTERM"},
        Row{"core_dump", {"core-dump", CLD_DUMPED, SIGSEGV, ""}, nobody, StopKind::CoreDump, {}, "SIGSEGV"},
        Row{"oom_kill", {"oom-kill", CLD_KILLED, SIGKILL, ""}, nobody, StopKind::OomKill},
        Row{"not_ready",
            {"timeout", CLD_KILLED, SIGTERM, "start", true},
            never_executed,
            StopKind::NotReady,
            {},
            "",
            "notify"},
        Row{"notifier_that_does_not_stop",
            {"timeout", CLD_KILLED, SIGKILL, "stop-sigterm", true},
            nobody,
            StopKind::Timeout,
            {},
            "",
            "stop"},
        Row{"watchdog", {"watchdog", CLD_DUMPED, SIGABRT, ""}, nobody, StopKind::Watchdog},
        Row{"resources", {"resources", 0, 0, ""}, nobody, StopKind::Resources},
        Row{"protocol", {"protocol", CLD_EXITED, 0, ""}, nobody, StopKind::Protocol},
        Row{"timeout_start",
            {"timeout", CLD_KILLED, SIGTERM, "start"},
            never_executed,
            StopKind::Timeout,
            {},
            "",
            "start"},
        Row{"timeout_stop",
            {"timeout", CLD_KILLED, SIGKILL, "stop-sigterm"},
            nobody,
            StopKind::Timeout,
            {},
            "",
            "stop"},
        Row{"timeout_runtime",
            {"timeout", CLD_KILLED, SIGTERM, "running"},
            nobody,
            StopKind::Timeout,
            {},
            "",
            "runtime"},
        Row{"start_failed_exec",
            {"exit-code", CLD_EXITED, 203, ""},
            never_executed,
            StopKind::StartFailed,
            203,
            "",
            "EXEC"},
        Row{"start_failed_user",
            {"exit-code", CLD_EXITED, 217, ""},
            never_executed,
            StopKind::StartFailed,
            217,
            "",
            "USER"},
        Row{"start_failed_namespace",
            {"exit-code", CLD_EXITED, 226, ""},
            never_executed,
            StopKind::StartFailed,
            226,
            "",
            "NAMESPACE"},
        Row{"start_failed_credentials",
            {"exit-code", CLD_EXITED, 243, ""},
            never_executed,
            StopKind::StartFailed,
            243,
            "",
            "CREDENTIALS"},
        Row{"start_failed_is_not_a_limit",
            {"exit-code", CLD_EXITED, 203, ""},
            {Asked::Nobody, "", false, true},
            StopKind::StartFailed,
            203,
            "",
            "EXEC"},
        Row{"ports_not_closed",
            {"exec-condition", 0, 0, ""},
            never_executed,
            StopKind::StartFailed,
            {},
            "",
            "PORTS"},
        Row{"start_limit_after_exit_code",
            {"exit-code", CLD_EXITED, 1, ""},
            gave_up,
            StopKind::StartLimit,
            1},
        Row{"start_limit_after_signal",
            {"signal", CLD_KILLED, SIGABRT, ""},
            gave_up,
            StopKind::StartLimit,
            {},
            "SIGABRT"},
        Row{"start_limit_by_name", {"start-limit-hit", CLD_EXITED, 0, ""}, nobody, StopKind::StartLimit},
        Row{"stopped",
            {"success", CLD_KILLED, SIGTERM, ""},
            {Asked::Stop, "alice@home1"},
            StopKind::Stopped,
            {},
            "",
            "",
            "alice@home1"},
        Row{"stopped_by_force",
            {"timeout", CLD_KILLED, SIGKILL, "stop-sigterm"},
            {Asked::Stop, "alice@home1"},
            StopKind::Stopped,
            {},
            "",
            "",
            "alice@home1"},
        Row{"killed",
            {"success", CLD_EXITED, 0, ""},
            {Asked::Kill, "bob@root"},
            StopKind::Killed,
            {},
            "",
            "",
            "bob@root"},
        Row{"stopped_outside",
            {"success", CLD_KILLED, SIGTERM, ""},
            {Asked::Outside, ""},
            StopKind::StoppedOutside},
        Row{"unknown_nothing_ran", {"success", 0, 0, ""}, nobody, StopKind::Unknown},
        Row{"unknown_word_of_a_later_systemd", {"eaten-by-bear", 0, 0, ""}, nobody, StopKind::Unknown}),
    [](const auto& row) { return row.param.label; });

TEST(ExitReasonDetail, SaysHowAStopHadToBeForced) {
    const UnitResult killed_hard{"timeout", CLD_KILLED, SIGKILL, "stop-sigterm"};
    EXPECT_EQ(exit_reason(killed_hard, {Asked::Stop, "a@b"}).detail,
              "it did not stop in time and was killed");
    const UnitResult bad_exit{"exit-code", CLD_EXITED, 2, ""};
    EXPECT_EQ(exit_reason(bad_exit, {Asked::Outside, ""}).detail, "exit status 2");
}

TEST(WouldRestart, FollowsThePolicy) {
    const UnitResult good{"success", CLD_EXITED, 0, ""};
    const UnitResult bad{"exit-code", CLD_EXITED, 1, ""};
    const UnitResult not_found{"exit-code", CLD_EXITED, 203, ""};
    EXPECT_TRUE(would_restart(Restart::Always, good));
    EXPECT_FALSE(would_restart(Restart::OnFailure, good));
    EXPECT_TRUE(would_restart(Restart::OnFailure, bad));
    EXPECT_FALSE(would_restart(Restart::No, bad));
    EXPECT_FALSE(would_restart(Restart::Always, not_found));
}

TEST(BootReason, TellsAPowerCutFromAShutdown) {
    EXPECT_EQ(boot_reason(true).kind, StopKind::Shutdown);
    EXPECT_EQ(boot_reason(false).kind, StopKind::PowerLoss);
    EXPECT_EQ(boot_reason(true, "10:00", "10:05").detail, "the machine was off from 10:00 to 10:05");
    EXPECT_EQ(boot_reason(false, "10:00", "10:05").detail,
              "the machine went off after 10:00 and was back at 10:05");
}

TEST(SignalName, OfOrdinaryAndRealTimeSignals) {
    EXPECT_EQ(signal_name(SIGSEGV), "SIGSEGV");
    EXPECT_EQ(signal_name(SIGRTMIN + 1), "SIGRTMIN+1");
    EXPECT_EQ(signal_name(0), "0");
}

TEST(ExitReasonWords, SayWhatCouldNotBeExecuted) {
    const auto words = [](int status) {
        return exit_reason({"exit-code", CLD_EXITED, status, ""}, {StopContext::Asked::Nobody, "", false})
            .detail;
    };
    EXPECT_NE(words(203).find("command"), std::string::npos);
    EXPECT_NE(words(217).find("user"), std::string::npos);
    EXPECT_NE(words(243).find("run.credentials"), std::string::npos);
    EXPECT_NE(words(226).find("nesting"), std::string::npos);
    EXPECT_EQ(words(231), "");
}

TEST(ExitReason, AStopCommandThatFailedIsNotTheProcesssFault) {
    const StopContext stop{.asked = StopContext::Asked::Stop, .by = "alice"};
    EXPECT_EQ(exit_reason({"exit-code", CLD_KILLED, SIGTERM, ""}, stop).detail, "its stop command failed");
    EXPECT_EQ(exit_reason({"exit-code", CLD_EXITED, 0, ""}, stop).detail, "its stop command failed");
    EXPECT_EQ(exit_reason({"exit-code", CLD_EXITED, 3, ""}, stop).detail, "exit status 3");
    EXPECT_EQ(exit_reason({"success", CLD_EXITED, 0, ""}, stop).detail, "");
}

TEST(ExitReason, WhatItLeftBehindIsSaid) {
    StopContext context{.left_behind = true};
    auto reason = exit_reason({"success", CLD_EXITED, 0, ""}, context);
    EXPECT_EQ(reason.kind, StopKind::Finished);
    EXPECT_NE(reason.detail.find("foreground"), std::string::npos) << reason.detail;
    context.gave_up = true;
    reason = exit_reason({"success", CLD_EXITED, 0, ""}, context);
    EXPECT_EQ(reason.kind, StopKind::StartLimit);
    EXPECT_NE(reason.detail.find("foreground"), std::string::npos) << reason.detail;
}

} // namespace
} // namespace p2prc::process
