// Decides what to do about one process: a function of its desired state, its last status and its unit.
#pragma once

#include "core/local_action.h"
#include "core/process_status.h"
#include "core/records.h"
#include "process/systemd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::process {

// What this node wants of a process, including local actions that the registry does not know yet.
struct Wanted {
    Desired desired = Desired::Running;
    bool killed = false;
    std::uint64_t change = 0; // compared with ProcessStatus::applied
    std::string by;
    friend bool operator==(const Wanted&, const Wanted&) = default;
};
Wanted wanted(const ProcessRecord& record, const LocalAction* local);

enum class Act {
    Nothing,
    Observe, // record what systemd runs
    Recall,  // the same, after finding out how the run before it ended unseen
    Confirm, // the same of a new run, after asking whether it has ended already
    Start,
    Retry,    // start what failed too often: once, and without being asked
    Restart,  // stop, then start
    Stop,     // the record stays
    Kill,     // stop for good
    Pause,    // it runs, and is paused: freeze it, or stop it for that
    Resume,   // it is frozen, and not paused any more: thaw it
    Hold,     // nothing to do with systemd: record that it is paused
    Adjust,   // it runs, and a later revision of it needs no restart: change what runs
    Abort,    // it runs, and a check of its own has failed for good: stop it for that reason
    Fence,    // it is another node's now: stop it here, and keep it from starting again
    Conclude, // it ended and the reason is not recorded yet
    Forget,   // it ran without a record and ended: nobody waits for the report
    Settle,   // nothing to do with systemd: record that the change was applied, and who asked for it
    Occupied, // another process runs under this name and no tombstone ends it
};

struct Situation {
    const ProcessRecord* record = nullptr; // nullptr: this node has no process of that name
    // Its record on another node, with a later epoch than the last that was acted upon here.
    const ProcessRecord* elsewhere = nullptr;
    const LocalAction* local = nullptr;    // for that record
    const ProcessStatus* status = nullptr; // last written, for that record
    const UnitView* unit = nullptr;        // nullptr: not loaded, or not one of ours
    bool ended = false;                    // an end of its last run was seen, and is not recorded
    bool left_over = false;                // without a record: a status still says that it runs
    bool check_failed = false;             // it runs, and is not what its file asks for
    bool rolls_back = false;               // an update was not kept: the revision before is to run again
    bool adjustable = false;               // what was started last becomes the record's by an adjustment
    bool paused = false;                   // by the owner of this machine
    bool killed = false;                   // the unit's process has a tombstone, or was killed here
    bool same_process =
        true; // the unit is the record's: by id, or by digest where no other record has its id
    std::string_view boot_id;
};

// Absence of a record never stops anything: only `killed` does, and a record elsewhere of a later epoch.
Act plan(const Situation& now);

// Whether the unit's run is not the one in `written`: then what systemd says now is not how that one ended.
bool runs_anew(const ProcessStatus& written, const UnitView& unit, std::string_view boot_id) noexcept;

// Whether the process runs, or is starting or stopping, or is frozen.
bool was_up(const ProcessStatus& status) noexcept;

// Whether it waits for somebody to ask for another run of its deployer.
bool deployment_failed(const ProcessStatus& status) noexcept;

// Whether the status was written in another boot while the process ran: the process ended with that boot.
bool lost_with_its_boot(const ProcessStatus& status, std::string_view boot_id) noexcept;

} // namespace p2prc::process
