// What the state of this node says of one of its processes: its record, its status, and what was asked for.
#pragma once

#include "core/local_action.h"
#include "core/process_status.h"
#include "core/records.h"
#include "process/observed_unit.h"
#include "process/systemd.h"
#include "process/transient_unit.h"
#include "state/fleet_state.h"
#include "state/own_state.h"
#include "state/pauses.h"
#include "state/replica.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// The records that concern a name, copied: they may change while an operation waits.
struct Facts {
    // As it is to run here: the revision to which an update was taken back, where its registry does not know
    // of that yet.
    std::optional<ProcessRecord> record;
    std::optional<LocalAction> local;
    std::optional<ProcessStatus> status;
    std::optional<Tombstone> tombstone; // of the unit's process
    bool killed = false;
    std::string killed_by;
    bool same_process = true;
    std::uint32_t id = 0; // of the record, or else of the unit
    // The process has a record with a later epoch on another node.
    std::optional<ProcessRecord> elsewhere;
    std::optional<state::Pause> paused; // that of the record
};

// The epoch in which something happens to it; 0: it has no record.
inline std::uint64_t epoch_of(const Facts& now) {
    return now.record ? now.record->epoch : 0;
}

// Reads only. What it returns a pointer to is valid until a state changes.
class NodeRecords {
  public:
    // What systemd has of a name's unit; nullptr: nothing.
    using UnitOf = std::function<const ObservedUnit*(std::string_view name)>;

    // All of them must outlive it.
    NodeRecords(const state::Replica& replica, state::OwnState& own, const std::string& node,
                const std::string& boot_id, UnitOf unit_of)
        : replica_(replica)
        , own_(own)
        , node_(node)
        , boot_id_(boot_id)
        , unit_of_(std::move(unit_of)) {}

    const state::FleetState& agreed() const { return replica_.records(); }
    Facts facts(const std::string& name) const;

    // An accepted record of this node, whose id is no other process's here.
    const ProcessRecord* record(std::string_view name) const;
    // The same, of the id alone.
    const ProcessRecord* owner_of_id(std::uint32_t id) const;
    const Tombstone* tombstone(std::uint32_t id) const;
    const ProcessStatus* status(std::uint32_t id) const;
    // The name of another process of this node that has the record's id; empty: none has. No registry gives
    // an id out twice. One that was restored from an older copy may not have heard yet which ids its nodes
    // know; one in the wrong hands would have two processes share all that is kept by id, their status first
    // of all.
    std::string holder_of_id(const ProcessRecord& record) const;
    bool id_is_taken(std::uint32_t id) const { return agreed().process(id) != nullptr; }
    // The id of what a unit runs: the unit itself keeps the one under which it was started.
    std::uint32_t id_of(const std::string& name, const UnitView& unit) const;
    // Whose work its jobs are.
    JobShare share_of(const ProcessRecord& record) const;
    Origin origin_of(const ProcessRecord& record) const;
    // The slice that its unit, and all that is done for it, belongs to.
    std::string slice_of(const ProcessRecord& record) const;
    // The node that has spun it.
    std::string spinner_of(const ProcessRecord& record) const;
    // The keys of statuses that say that something without a record runs under this name.
    std::vector<std::string> left_over(const std::string& name) const;

  private:
    // The accepted record of a process of this name on another node.
    const ProcessRecord* elsewhere(std::string_view name) const;
    std::optional<std::uint32_t> reported_id(const std::string& name) const;
    bool runs_under(std::string_view name, std::uint32_t id) const;

    const state::Replica& replica_;
    state::OwnState& own_;
    const std::string& node_;
    const std::string& boot_id_;
    UnitOf unit_of_;
};

} // namespace p2prc::process
