// How far a node has come with an update of a process: with the change from one revision to another, and back
// if need be.
#pragma once

#include "core/boxed.h"
#include "core/stop_reason.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc {

enum class UpdatePhase {
    Replacing,   // the new one is started, instead of the old one or beside it, and is not ready yet
    Confirming,  // the new one is ready, and has to stay up for a while
    Good,        // it did
    RollingBack, // it did not, and the old one is started again
    RolledBack,  // and is ready
    Failed,      // and is not ready either
};
std::string_view update_phase_name(UpdatePhase phase) noexcept;

// What an update has done with the data of the process.
enum class DataCopy {
    None,       // nothing
    Copied,     // it was copied before the new one was started
    NotCopied,  // it could not be, or would have taken too long
    PutBack,    // the new one was not kept, and the data is as it was before
    NotPutBack, // it should be, and could not
};

// The value of `update` in a process's status.
struct UpdateProgress {
    std::uint32_t revision = 0; // the new one
    std::uint32_t fallback = 0; // the one that it replaces
    UpdatePhase phase = UpdatePhase::Replacing;
    std::string since;        // RFC 3339, of the phase
    Boxed<StopReason> reason; // why the new one was not kept
    DataCopy data = DataCopy::None;
    std::string data_detail; // why it was not copied, or not put back
    friend bool operator==(const UpdateProgress&, const UpdateProgress&) = default;
};

// It will go on by itself.
bool is_under_way(const UpdateProgress& update) noexcept;
// The old one is what is wanted now.
bool went_back(const UpdateProgress& update) noexcept;

nlohmann::json to_json(const UpdateProgress& update);
UpdateProgress update_progress_from_json(const nlohmann::json& document); // tolerant

// "copied", "not copied: it takes longer than 5 s"; empty: there is nothing to say.
std::string data_words(const UpdateProgress& update);

// Of a run that was not kept: "update-failed", which says what `reason` says of it.
StopReason update_failed(const UpdateProgress& update, const StopReason& reason);

} // namespace p2prc
