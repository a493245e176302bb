#include "process/exit_reason.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstring>

namespace p2prc::process {
namespace {

struct ExecStep {
    int status;
    std::string_view name;
};

// systemd 252, src/shared/exit-status.c by way of systemd.exec(5).
constexpr std::array exec_steps{
    ExecStep{200, "CHDIR"},
    ExecStep{201, "NICE"},
    ExecStep{202, "FDS"},
    ExecStep{203, "EXEC"},
    ExecStep{204, "MEMORY"},
    ExecStep{205, "LIMITS"},
    ExecStep{206, "OOM_ADJUST"},
    ExecStep{207, "SIGNAL_MASK"},
    ExecStep{208, "STDIN"},
    ExecStep{209, "STDOUT"},
    ExecStep{210, "CHROOT"},
    ExecStep{211, "IOPRIO"},
    ExecStep{212, "TIMERSLACK"},
    ExecStep{213, "SECUREBITS"},
    ExecStep{214, "SETSCHEDULER"},
    ExecStep{215, "CPUAFFINITY"},
    ExecStep{216, "GROUP"},
    ExecStep{217, "USER"},
    ExecStep{218, "CAPABILITIES"},
    ExecStep{219, "CGROUP"},
    ExecStep{220, "SETSID"},
    ExecStep{221, "CONFIRM"},
    ExecStep{222, "STDERR"},
    ExecStep{224, "PAM"},
    ExecStep{225, "NETWORK"},
    ExecStep{226, "NAMESPACE"},
    ExecStep{227, "NO_NEW_PRIVILEGES"},
    ExecStep{228, "SECCOMP"},
    ExecStep{229, "SELINUX_CONTEXT"},
    ExecStep{230, "PERSONALITY"},
    ExecStep{231, "APPARMOR"},
    ExecStep{232, "ADDRESS_FAMILIES"},
    ExecStep{233, "RUNTIME_DIRECTORY"},
    ExecStep{235, "CHOWN"},
    ExecStep{236, "SMACK_PROCESS_LABEL"},
    ExecStep{237, "KEYRING"},
    ExecStep{238, "STATE_DIRECTORY"},
    ExecStep{239, "CACHE_DIRECTORY"},
    ExecStep{240, "LOGS_DIRECTORY"},
    ExecStep{241, "CONFIGURATION_DIRECTORY"},
    ExecStep{242, "NUMA_POLICY"},
    ExecStep{243, "CREDENTIALS"},
};

// In a person's words, for the steps that a process file or a command line can get wrong.
std::string_view step_words(std::string_view step) {
    if (step == "CHDIR") return "its working directory is missing or not accessible";
    if (step == "EXEC") return "the command does not exist or is not executable";
    if (step == "USER" || step == "GROUP") return "the user does not exist";
    if (step == "NAMESPACE")
        return "its sandbox could not be set up; if this machine is a container, its host must allow nesting "
               "(Proxmox: "
               "Options, Features, nesting)";
    if (step == "CREDENTIALS") return "a file of run.credentials is missing or cannot be read";
    if (step == "STATE_DIRECTORY") return "its data directory could not be created";
    if (step == ports_step) return "the ports of others could not be closed to it";
    return {};
}

StopReason of_kind(StopKind kind) {
    StopReason reason;
    reason.kind = kind;
    return reason;
}

// How the main process itself ended, whatever systemd's verdict was.
StopReason main_process_reason(const UnitResult& result, bool executed) {
    switch (result.code) {
    case CLD_EXITED: {
        if (const auto step = exec_step_name(result.status); !executed && !step.empty())
            return start_failed_at(step);
        if (result.status == 0) return of_kind(StopKind::Finished);
        auto reason = of_kind(StopKind::ExitCode);
        reason.code = result.status;
        return reason;
    }
    case CLD_KILLED: {
        auto reason = of_kind(StopKind::Signal);
        reason.signal = signal_name(result.status);
        return reason;
    }
    case CLD_DUMPED: {
        auto reason = of_kind(StopKind::CoreDump);
        reason.signal = signal_name(result.status);
        return reason;
    }
    default:
        return of_kind(StopKind::Unknown);
    }
}

std::string how_it_ended(const UnitResult& result) {
    if (result.code == CLD_EXITED) return fmt::format("exit status {}", result.status);
    if (result.code == CLD_KILLED) return fmt::format("killed by {}", signal_name(result.status));
    if (result.code == CLD_DUMPED) return fmt::format("{}, core dumped", signal_name(result.status));
    return fmt::format("systemd says '{}'", result.result);
}

// What systemd takes for an end in order (exit-status.c, exit_status_set_test).
bool ended_in_order(const UnitResult& result) {
    if (result.code == CLD_EXITED) return result.status == 0;
    return result.code == CLD_KILLED && (result.status == SIGTERM || result.status == SIGINT ||
                                         result.status == SIGHUP || result.status == SIGPIPE);
}

// How it took a stop that was asked for.
std::string how_it_stopped(const UnitResult& result) {
    if (result.result == "timeout") return "it did not stop in time and was killed";
    if (result.result == "success") return {};
    // systemd's verdict is of the stop command then.
    if (result.result == "exit-code" && ended_in_order(result)) return "its stop command failed";
    return how_it_ended(result);
}

constexpr std::string_view left_behind_words =
    "its command ended and left processes behind, which were ended too; make it stay in the foreground";

StopReason own_reason(const UnitResult& result, bool executed) {
    const auto& word = result.result;
    if (word == "oom-kill") return of_kind(StopKind::OomKill);
    if (word == "watchdog") return of_kind(StopKind::Watchdog);
    if (word == "resources") return of_kind(StopKind::Resources);
    if (word == "protocol") return of_kind(StopKind::Protocol);
    if (word == "start-limit-hit") return of_kind(StopKind::StartLimit);
    if (word == "timeout" && result.notifies && result.step == "start") {
        auto reason = of_kind(StopKind::NotReady);
        reason.step = probe_name(Probe::Kind::Notify);
        reason.detail = "it did not tell systemd that it is ready (READY=1)";
        return reason;
    }
    if (word == "timeout") {
        auto reason = of_kind(StopKind::Timeout);
        reason.step = result.step.starts_with("stop") || result.step.starts_with("final") ? "stop"
                      : executed                                                          ? "runtime"
                                                                                          : "start";
        return reason;
    }
    if (word == "exec-condition") return start_failed_at(ports_step);
    auto reason = main_process_reason(result, executed);
    if (reason.kind == StopKind::Unknown && word != "success") reason.detail = how_it_ended(result);
    return reason;
}

} // namespace

StopReason exit_reason(const UnitResult& result, const StopContext& context) {
    using Asked = StopContext::Asked;
    if (context.asked != Asked::Nobody) {
        auto reason = of_kind(context.asked == Asked::Stop   ? StopKind::Stopped
                              : context.asked == Asked::Kill ? StopKind::Killed
                                                             : StopKind::StoppedOutside);
        if (context.asked != Asked::Outside) reason.by = context.by;
        reason.detail = how_it_stopped(result);
        return reason;
    }
    auto reason = own_reason(result, context.executed);
    if (context.left_behind && reason.detail.empty()) reason.detail = left_behind_words;
    if (context.gave_up && reason.kind != StopKind::StartFailed) {
        auto limit = of_kind(StopKind::StartLimit);
        limit.cause = reason.kind;
        limit.code = reason.code;
        limit.signal = reason.signal;
        limit.detail =
            fmt::format("it failed too often within a minute; the last time: {}", how_it_ended(result));
        if (context.left_behind) limit.detail += fmt::format("; {}", left_behind_words);
        return limit;
    }
    return reason;
}

StopReason start_failed_at(std::string_view step) {
    auto reason = of_kind(StopKind::StartFailed);
    reason.step = step;
    reason.detail = step_words(step);
    for (const auto& known : exec_steps)
        if (known.name == step) reason.code = known.status;
    return reason;
}

bool would_restart(Restart restart, const UnitResult& result) noexcept {
    const bool not_executable =
        result.code == CLD_EXITED && result.status >= first_exec_status && result.status <= last_exec_status;
    if (restart == Restart::No || not_executable || result.result == "exec-condition") return false;
    return restart == Restart::Always || result.result != "success";
}

std::string_view exec_step_name(int status) noexcept {
    for (const auto& step : exec_steps)
        if (step.status == status) return step.name;
    return {};
}

std::string signal_name(int signal) {
    if (const auto* name = sigabbrev_np(signal)) return std::string("SIG") + name;
    if (signal >= SIGRTMIN && signal <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
    return std::to_string(signal);
}

StopReason boot_reason(bool clean_shutdown) {
    return of_kind(clean_shutdown ? StopKind::Shutdown : StopKind::PowerLoss);
}

StopReason boot_reason(bool clean_shutdown, const std::string& from, const std::string& to) {
    auto reason = boot_reason(clean_shutdown);
    // A machine that loses its power writes nothing down: `from` is the last that was heard of it.
    reason.detail = clean_shutdown
                        ? fmt::format("the machine was off from {} to {}", from, to)
                        : fmt::format("the machine went off after {} and was back at {}", from, to);
    reason.at = from;
    return reason;
}

} // namespace p2prc::process
