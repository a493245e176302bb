// Why a unit's run ended: the table from what systemd says to the closed set of StopReason.
#pragma once

#include "core/process_spec.h"
#include "core/stop_reason.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::process {

// What systemd knows of a run that ended, by the names of its D-Bus properties.
struct UnitResult {
    std::string result = "success"; // Service.Result
    std::int32_t code = 0;          // Service.ExecMainCode: CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: none ran
    std::int32_t status = 0;        // Service.ExecMainStatus: exit status or signal
    std::string step;               // sub-state in which a timeout came: "start", "stop-sigterm", ...
    bool notifies = false;          // systemd waited for its READY=1 (Service.Type is notify)
    friend bool operator==(const UnitResult&, const UnitResult&) = default;
};

// What systemd cannot know.
struct StopContext {
    enum class Asked { Nobody, Stop, Kill, Outside }; // Outside: a job that was not ours, such as systemctl's
    Asked asked = Asked::Nobody;
    std::string by;           // who, for Stop and Kill
    bool executed = true;     // the command was executed in this run (Type=exec reached `active`)
    bool gave_up = false;     // systemd would restart it by its policy, and did not
    bool left_behind = false; // other processes of it kept running after its main process had ended
};

// The reason, without node, time, epoch and log, which are the caller's to add. What was asked for wins over
// how the process took it; a stop that had to be forced says so in `detail`.
StopReason exit_reason(const UnitResult& result, const StopContext& context);

// Whether systemd, left alone, starts the process again after `result` by `restart`. It did not although it
// should: then its start limit was hit. (In systemd 252 Result keeps the first failure, it does not become
// "start-limit-hit".)
bool would_restart(Restart restart, const UnitResult& result) noexcept;

// By these exit statuses systemd says that it could not execute the command (systemd.exec(5), "Process exit
// codes").
inline constexpr int first_exec_status = 200;
inline constexpr int last_exec_status = 243;

// Not one of systemd's steps: p2prcd-ports could not attach the unit's BPF programs. It is the unit's only
// condition (ExecCondition=).
inline constexpr std::string_view ports_step = "PORTS";

// What the exit statuses from 200 mean (systemd.exec(5)): "EXEC" for 203; empty for one that has no name.
std::string_view exec_step_name(int status) noexcept;

// A start that failed at `step` of systemd.exec(5), "USER"; nothing was executed.
StopReason start_failed_at(std::string_view step);

// "SIGSEGV"; "SIGRTMIN+1"; the number for one without a name.
std::string signal_name(int signal);

// The run of an earlier boot: Shutdown when that boot ended in order, PowerLoss otherwise.
StopReason boot_reason(bool clean_shutdown);
// The same, where the journal says when it was last written to before the boot, and when first after it (RFC
// 3339).
StopReason boot_reason(bool clean_shutdown, const std::string& from, const std::string& to);

} // namespace p2prc::process
