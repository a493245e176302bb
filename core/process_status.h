// The status of a process, as its node reports it.
#pragma once

#include "core/boxed.h"
#include "core/process_spec.h"
#include "core/remedy_progress.h"
#include "core/stop_reason.h"
#include "core/update_progress.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2prc {

// Updating is shown for what an update has stopped or is starting; no node reports it as a state. What is
// paused is frozen, or, without a `pid`, does not run.
enum class ProcessState { Starting, Running, Stopping, Stopped, Failed, Deploying, Updating, Paused, Lost };

std::string_view process_state_name(ProcessState state) noexcept;
ProcessState process_state_from_name(std::string_view name) noexcept; // Lost for an unknown name

// Owned by the node that runs the process and written by it alone: the value of /status/<node>/<process id>.
struct ProcessStatus {
    std::uint32_t id = 0;
    std::string name;
    std::string node;
    ProcessState state = ProcessState::Starting;
    std::uint32_t pid = 0;  // main process; 0: none
    std::string invocation; // systemd's invocation id of the run
    std::string boot_id;    // of the boot in which the status was written
    std::optional<std::uint64_t> memory_bytes;
    std::optional<double> cpu_seconds;
    std::uint32_t restarts = 0;
    std::string since;        // RFC 3339, when `state` was entered
    Boxed<StopReason> reason; // of the last stop; stays while the process runs again
    std::uint64_t epoch = 0;
    std::string digest;           // of the spec that runs
    std::string command;          // that runs, where its deployer says it; empty: its spec does
    std::uint64_t applied = 0;    // change number of the desired state last acted upon
    std::string ready_run;        // the invocation that has become ready: its port, or its first two seconds
    bool second_unit = false;     // it runs as its second unit, to which an update has led
    std::string waits_for;        // what it lacks to be ready while it starts or is deployed, in words
    std::uint32_t revision = 0;   // that was last started, or applied to what runs; 0: not known
    std::uint32_t good = 0;       // the last one that was ready, and after an update has stayed up
    Boxed<RemedyProgress> remedy; // what is done about its stops; nothing: nothing was ever
    Boxed<UpdateProgress> update; // the last update that this node has begun; nothing: none
    friend bool operator==(const ProcessStatus&, const ProcessStatus&) = default;
};

// It is not running because somebody asked for that.
bool stopped_on_request(const ProcessStatus& status) noexcept;

// Its command has been executed and is not known to have ended, whether it is ready, or frozen, or not.
bool is_executed(const ProcessStatus& status) noexcept;

// It runs, and this very run has become ready.
bool is_ready(const ProcessStatus& status) noexcept;

nlohmann::json status_to_json(const ProcessStatus& status);
ProcessStatus status_from_json(const nlohmann::json& document); // tolerant

} // namespace p2prc
