// What has been done about the stops of a process by its remedies, and what is planned: on its node in its
// status, and, of moves, in its record.
#pragma once

#include "core/remedy.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2prc {

// Of a process: actions an hour, moves among them a day.
inline constexpr std::size_t most_remedy_actions = 5;
inline constexpr std::size_t most_remedy_moves = 3;

struct RemedyDone {
    RemedyAction action = RemedyAction::None;
    std::int64_t at = 0; // Unix seconds
    friend bool operator==(const RemedyDone&, const RemedyDone&) = default;
};

// What is done about the last stop, or was decided not to be.
struct RemedyPlanned {
    RemedyAction action = RemedyAction::None;
    std::uint32_t number = 0; // of the remedy, from 1
    std::int64_t at = 0;      // Unix seconds: when it is done, or asked for again
    std::uint32_t left = 0;   // actions of this hour, or moves of this day, that are left after it
    friend bool operator==(const RemedyPlanned&, const RemedyPlanned&) = default;
};

// The value of `remedy` in a process's status.
struct RemedyProgress {
    std::vector<RemedyDone> done; // within the last hour, oldest first
    bool decided = false;         // about the last stop; what follows is about that one
    std::optional<RemedyPlanned> planned;
    std::string held;          // why the remedy that is about it does nothing; empty: it does
    std::int64_t free_at = 0;  // when the budget allows it again; 0: that is not what holds it
    std::int64_t told_at = 0;  // when people were last told that the budget is used up
    std::string telling;       // what people are told, or were told last: the mark of its units
    std::int64_t retry_at = 0; // when p2prcd tries it again without a remedy; 0: it does not
    bool early = false;        // it had run for less than `early_end`
    friend bool operator==(const RemedyProgress&, const RemedyProgress&) = default;
};

nlohmann::json to_json(const RemedyProgress& progress);
RemedyProgress remedy_progress_from_json(const nlohmann::json& document); // tolerant

// A run of it begins: nothing is known of its end.
void begin_run(RemedyProgress& progress);

// One line for people of what comes next; empty: nothing. `reason` is that of the last stop, `now` Unix
// seconds.
std::string next_text(const RemedyProgress& progress, const StopReason& reason, std::int64_t now);

// A move by a remedy; in the process's record, for a day.
struct RemedyMove {
    std::int64_t at = 0; // Unix seconds, of the root
    std::string from;
    StopKind cause = StopKind::Unknown;
    bool early = false; // as above
    friend bool operator==(const RemedyMove&, const RemedyMove&) = default;
};
nlohmann::json to_json(const RemedyMove& move);
RemedyMove remedy_move_from_json(const nlohmann::json& document); // tolerant

} // namespace p2prc
